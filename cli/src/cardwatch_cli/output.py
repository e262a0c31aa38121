"""What commands print: tables, JSON, texts and times.

A table is as wide as the terminal, and as wide as it needs to be where a program reads it.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer
from cardwatch_contracts.errors import ConfigurationError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_A_PIPE: Final = 240
_STYLES: Final = {"live": "green", "shadow": "cyan", "paused": "yellow"}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns' names; empty cells stay empty."""
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in cells))
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    Console(width=width, highlight=False).print(table)


def local_time(at_us: int) -> str:
    """Microseconds since 1970-01-01 UTC in this machine's time zone, to the second."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def iso_time(at_us: int) -> str:
    """Microseconds since 1970-01-01 UTC in ISO 8601, UTC: for programs."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counted(number: int, what: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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
