"""What commands print: tables, JSON, times and numbers.

A table is as wide as the terminal, and as wide as it needs to be where a program reads it.
"""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import typer
from cardwatch_service.printable import escape_control_characters
from cardwatch_units.timestamps import from_microseconds
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH: Final = 240
_CELL_STYLES: Final = {"live": "green", "shadow": "cyan", "paused": "yellow", "up": "green", "down": "red"}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, with_lines: Collection[str] = ()) -> None:
    """Print rows under the names of their columns. None is an empty cell; control characters are escaped.

    Args:
        with_lines: the columns whose cells have several lines. Elsewhere a line feed is escaped too, so that a text
            cannot look like a row of its own.
    """
    table = new_table(*map(escape_control_characters, columns))
    for row in rows:
        cells = [
            escape_control_characters("" if cell is None else str(cell), keep_newlines=column in with_lines)
            for column, cell in zip(columns, row, strict=True)
        ]
        table.add_row(*(Text(cell, style=_CELL_STYLES.get(cell, "")) for cell in cells))
    output_console().print(table)


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table in the style of all commands."""
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def output_console() -> Console:
    """A console for standard output that is as wide as the terminal, or 240 characters wide if it is not a terminal."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def print_json(document: object) -> None:
    """Print a document as indented JSON; times and the like as text."""
    echo_text(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def echo_text(text: str, *, end: str = "\n", err: bool = False) -> None:
    """Print a text of several lines that people read, or JSON, with control characters escaped."""
    typer.echo(escape_control_characters(text, keep_newlines=True) + end, nl=False, err=err)


def echo_file(text: str) -> None:
    """Print the content of a file: as it is into a file or a pipe, with control characters escaped on a terminal."""
    if sys.stdout.isatty():
        echo_text(text, end="")
    else:
        typer.echo(text, nl=False)


def local_time(at_us: int) -> str:
    """Microseconds since 1970-01-01 UTC as text in this machine's time zone, to the second."""
    return f"{from_microseconds(at_us).astimezone():%Y-%m-%d %H:%M:%S}"


def iso_time(at_us: int) -> str:
    """Microseconds since 1970-01-01 UTC as ISO 8601 in UTC, to the millisecond."""
    return from_microseconds(at_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 rule``, ``2 rules``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
