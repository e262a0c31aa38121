"""Tables that commands print for people, as wide as the terminal, and as wide as they need to be for a program."""

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cardwatch_service.printable import escape_control_characters

_PIPE_WIDTH: Final = 240
_CELL_STYLES: Final = {"live": "green", "shadow": "cyan", "paused": "yellow", "up": "green", "down": "red"}


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    align_right: Collection[str] = (),
    with_lines: Collection[str] = (),
) -> None:
    """Print rows under the names of their columns. None is an empty cell; control characters are escaped.

    Args:
        align_right: the columns whose cells are aligned to the right, such as numbers.
        with_lines: the columns whose cells have several lines. Elsewhere a line feed is escaped too, so that a text
            cannot look like a row of its own.
    """
    table = new_table()
    for column in columns:
        table.add_column(escape_control_characters(column), justify="right" if column in align_right else "left")
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
