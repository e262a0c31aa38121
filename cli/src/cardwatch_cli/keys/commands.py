"""``cardwatch keys``: makes keys for card tokens."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError

_KEY_BYTES: Final = 32

app = typer.Typer(help="Keys for card tokens.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Keys for card tokens."""


@app.command()
def generate(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="Write the key into this new file, which only you can read, instead of printing it."
        ),
    ] = None,
) -> None:
    """Make a random key of 256 bits for card tokens and print it in hexadecimal, for CARDWATCH_TOKEN_KEY.

    Give every service that makes tokens (enricher, producer) the same key, and a name of yours for it in
    CARDWATCH_TOKEN_KEY_ID. Keep the key where you keep secrets: without it a card's new token differs from all earlier
    ones, and whoever has it can find out the card number behind a token.
    """
    key = secrets.token_hex(_KEY_BYTES)
    if file is None:
        typer.echo(key)
        return
    write_new_secret(file, f"{key}\n")
    typer.echo(f"wrote a new key to {file}", err=True)


def write_new_secret(path: Path, text: str) -> None:
    """Write a file that only this user can read.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists, and a key that is overwritten is lost for good; expected the name of a new file"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
