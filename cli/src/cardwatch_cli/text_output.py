"""Text that goes to a file, or to standard output where none is named."""

from pathlib import Path

import typer
from cardwatch_contracts.errors import ConfigurationError


def write_text(text: str, file: Path | None, holds: str) -> None:
    """Write a text; a file's name and what it ``holds`` are told on standard error.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    typer.echo(f"{file}: {holds}", err=True)
