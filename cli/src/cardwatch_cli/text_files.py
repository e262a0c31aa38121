"""Text files that are named on the command line."""

from pathlib import Path

import typer
from cardwatch_contracts.errors import ConfigurationError

from cardwatch_cli.output import echo_file


def read_text_file(path: Path, kind: str = "") -> str:
    """The content of a UTF-8 file.

    Args:
        kind: what the file is in errors, such as ``rule file``.

    Raises:
        ConfigurationError: the file cannot be read, or is not UTF-8 text.
    """
    name = f"{kind} {path}".strip()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} is not UTF-8 text (byte {error.start})") from error


def write_text_file(text: str, file: Path | None, content: str) -> None:
    """Write a text to a file, or to standard output if there is none.

    Args:
        content: what the text contains, such as ``3 rules``; printed on standard error with the file's name.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if file is None:
        echo_file(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    typer.echo(f"{file}: {content}", err=True)
