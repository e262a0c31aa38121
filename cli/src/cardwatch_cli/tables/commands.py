"""``cardwatch tables``: the lakehouse's Delta tables, read without Spark."""

import json
import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import pyarrow as pa
import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import Catalog, Moment
from cardwatch_service.printable import escape_cell, escape_control_characters
from cardwatch_service.tables import print_table
from pyarrow import csv

from cardwatch_cli.output import counted
from cardwatch_cli.tables import maintenance_commands
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.tables.query import open_lake, run_query
from cardwatch_cli.tables.rebuild.command import rebuild_command
from cardwatch_cli.tables.sandbox import DEFAULT_MEMORY, DEFAULT_TIMEOUT, parse_limits

_MAX_SHOWN_ROWS: Final = 100
_TEXT_TYPES: Final = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)
_KILOBYTE: Final = 1024
_COLUMNS_WITH_LINES: Final = ("explain_value",)  # the plan that EXPLAIN draws

app = typer.Typer(
    help="The lakehouse's Delta tables, read without Spark. Spark may write to them at the same time.",
    no_args_is_help=True,
)


class Format(StrEnum):
    """The format of a query's result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    ARROW = "arrow"


NameArgument = Annotated[str, typer.Argument(help="A table: gold.alerts")]


app.command("rebuild")(rebuild_command)
maintenance_commands.register(app)


@app.command("list")
def list_command(tables_dir: TablesDirOption = TABLES_DIR) -> None:
    """Show all tables: rows, files, size, version, and when they changed last."""
    catalog = Catalog(tables_dir)
    found = [catalog.summary(name) for name in catalog.names()]
    print_table(
        ("table", "rows", "files", "size", "version", "changed"),
        [
            (one.name, _number(one.rows), f"{one.files:,}", _size(one.size), one.version, _time(one.changed_at))
            for one in found
        ],
    )


@app.command("describe")
def describe_command(name: NameArgument, tables_dir: TablesDirOption = TABLES_DIR) -> None:
    """Show a table's columns and partition columns, its size and its version."""
    catalog = Catalog(tables_dir)
    table, summary = catalog.open(name), catalog.summary(name)
    partitions = table.metadata().partition_columns
    print_table(
        ("column", "type", ""),
        [
            (field.name, _type(field.type), "partition" if field.name in partitions else "")
            for field in table.schema().fields
        ],
    )
    rows = "unknown" if summary.rows is None else f"{summary.rows:,}"
    typer.echo(
        f"{name}: {rows} rows in {counted(summary.files, 'file')}, {_size(summary.size)}, "
        f"version {summary.version} of {_time(summary.changed_at)}"
    )


@app.command("history")
def history_command(
    name: NameArgument,
    tables_dir: TablesDirOption = TABLES_DIR,
    limit: Annotated[int, typer.Option(min=1, help="Show this many, newest first.")] = 20,
) -> None:
    """Show a table's versions, newest first: `query --version` and `--at` can read them."""
    print_table(
        ("version", "at", "operation", "rows", "files added"),
        [
            (entry["version"], _time(entry["at"]), entry["operation"], entry["rows"], entry["files_added"])
            for entry in Catalog(tables_dir).history(name, limit)
        ],
    )


@app.command("query")
def query_command(
    sql: Annotated[
        str,
        typer.Argument(
            help="One SELECT (DuckDB's SQL) over tables by their names; or DESCRIBE, SHOW, SUMMARIZE or EXPLAIN."
        ),
    ],
    tables_dir: TablesDirOption = TABLES_DIR,
    format_: Annotated[Format, typer.Option("--format", help="The format of the result.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option(help="Write the result to this file (csv, json, arrow).")] = None,
    version: Annotated[str | None, typer.Option(help="One table as of a version: gold.alerts=12")] = None,
    at: Annotated[datetime | None, typer.Option(help="All tables as of this time, UTC.")] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="CSV with texts as they are. Otherwise control characters are escaped, and formulas get an '.",
        ),
    ] = False,
    memory_limit: Annotated[str, typer.Option(help="Stop a query, or a result, that needs more.")] = DEFAULT_MEMORY,
    timeout: Annotated[str, typer.Option(help="Stop a query that takes longer: 90s, 10m, 2h.")] = DEFAULT_TIMEOUT,
) -> None:
    """Run one SELECT over the tables as they are now, or as they were.

    A query can read the directory of the tables and nothing else on this machine or in the network. It writes nothing,
    loads no extension of DuckDB and changes none of its settings.

    Example: cardwatch tables query "SELECT rule_id, count(*) FROM gold.alerts WHERE status = 'raised' GROUP BY ALL"
    """
    moment, only = _moment(version, at)
    if output is not None and format_ is Format.TABLE:
        raise ConfigurationError("--output needs --format csv, json or arrow")
    if raw and format_ is not Format.CSV:
        raise ConfigurationError(
            "--raw needs --format csv; the other formats have no formulas and are read by programs"
        )
    limits = parse_limits(memory_limit, timeout)
    with open_lake(Catalog(tables_dir), moment, only, limits=limits) as lake:
        found = run_query(lake, sql)
    if format_ is Format.TABLE:
        _print(found)
    elif output is not None:
        with output.open("wb") as sink:
            _write(found, format_, sink, raw=raw)
        typer.echo(f"{output}: {counted(found.num_rows, 'row')}", err=True)
    else:
        _write(found, format_, sys.stdout.buffer, raw=raw)


def _moment(version: str | None, at: datetime | None) -> tuple[Moment, str | None]:
    if version is None:
        return Moment(at=None if at is None else at.replace(tzinfo=at.tzinfo or UTC)), None
    name, _, number = version.partition("=")
    if at is not None or not number.isdecimal():
        raise ConfigurationError("--version: expected a table and its version such as gold.alerts=12, and no --at")
    return Moment(version=int(number)), name


def _print(found: pa.Table) -> None:
    shown = found.slice(0, _MAX_SHOWN_ROWS)
    print_table(
        shown.column_names,
        [[_cell(value) for value in row.values()] for row in shown.to_pylist()],
        with_lines=_COLUMNS_WITH_LINES,
    )
    if found.num_rows > _MAX_SHOWN_ROWS:
        typer.echo(
            f"the first {_MAX_SHOWN_ROWS} of {found.num_rows:,} rows; use --format csv, json or arrow for all", err=True
        )


def _write(found: pa.Table, format_: Format, sink: Any, *, raw: bool) -> None:
    match format_:
        case Format.CSV:
            csv.write_csv(_flat(found) if raw else _harmless_texts(_flat(found)), sink)
        case Format.JSON:
            for row in found.to_pylist():
                text = escape_control_characters(json.dumps(row, default=_json, ensure_ascii=False))
                sink.write(f"{text}\n".encode())
        case _:
            with pa.ipc.new_stream(sink, found.schema) as stream:
                stream.write_table(found)
    sink.flush()


def _flat(found: pa.Table) -> pa.Table:
    """The result with lists and structures as JSON text, because CSV has neither."""
    for at, field in enumerate(found.schema):
        if pa.types.is_nested(field.type):
            texts = [None if value is None else json.dumps(value, default=_json) for value in found[at].to_pylist()]
            found = found.set_column(at, field.name, pa.array(texts, pa.string()))
    return found


def _harmless_texts(found: pa.Table) -> pa.Table:
    """The result with control characters escaped, and an apostrophe before what is a formula to a spreadsheet.

    This holds for all texts, names of columns included.
    """
    for at, field in enumerate(found.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not any(is_text(kind) for is_text in _TEXT_TYPES):
            continue
        texts = [
            value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
            for value in found[at].to_pylist()
        ]
        escaped = [None if text is None else escape_cell(text) for text in texts]
        found = found.set_column(at, field.name, pa.array(escaped, pa.string()))
    return found.rename_columns([escape_cell(name) for name in found.column_names])


def _json(value: object) -> str:
    return (
        value.isoformat()
        if isinstance(value, date | datetime)
        else value.hex()
        if isinstance(value, bytes)
        else str(value)
    )


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return _time(value)
    return json.dumps(value, default=_json) if isinstance(value, list | dict) else value


def _type(kind: Any) -> str:
    return str(kind.type) if hasattr(kind, "type") and isinstance(kind.type, str) else str(kind)


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < _KILOBYTE:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KILOBYTE
    return f"{size:.1f} TB"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
