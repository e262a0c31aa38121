"""What commands print besides tables (``cardwatch_service.tables``): JSON, times and numbers."""

import json
import sys

import typer
from cardwatch_service.printable import escape_control_characters
from cardwatch_units.timestamps import from_microseconds


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
