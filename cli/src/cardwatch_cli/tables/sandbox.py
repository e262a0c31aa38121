"""What a query can reach and use: the tables' directory, a bounded memory and time, and statements that read.

Whoever may write a query may not be the owner of this machine: a query comes out of a ticket, a notebook or a language
model. DuckDB by itself reads and writes any file, and downloads extensions. Here its own file systems are closed except
for the tables' directory (links are followed before they are compared with it), and its settings are locked. Files in
that directory could still be written (``WITH x AS (COPY … TO …)``), so a query is parsed first, and may consist only of
parts that read tables. Tables on an object store are read by Arrow, which gets its location from the table's log, not
from the query.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.locations import Location
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

DEFAULT_MEMORY: Final = "2GB"
DEFAULT_TIMEOUT: Final = "5m"

_BATCH_ROWS: Final = 65_536
_MEMORY: Final = re.compile(r"(\d{1,6}) ?([KMGT])i?B", re.IGNORECASE)
_MEMORY_UNITS: Final = {"K": 1, "M": 2, "G": 3, "T": 4}
_KILOBYTE: Final = 1000
_EXPLAIN: Final = re.compile(r"\s*EXPLAIN\b\s*(?:ANALYZE\b\s*)?(?:\([^()']*\)\s*)?", re.IGNORECASE)
_ERROR_KIND: Final = re.compile(r"^\w+ Error: ")
_STATEMENTS: Final = (
    "expected one SELECT (or WITH, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN); the tables can only be read here"
)
# DuckDB's names for the parts of a parsed query. A part of WITH can also be COPY, INSERT, UPDATE or DELETE.
_READING_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
# Others read files, run a query that is in a text (and can be one that writes), or change DuckDB.
_TABLE_FUNCTIONS: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "histogram", "histogram_values"),
        *("duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_settings", "duckdb_tables", "duckdb_types"),
        *("duckdb_views", "pragma_table_info", "pragma_version"),
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one query may use.

    Attributes:
        memory: as DuckDB writes it: ``2GB``.
        memory_bytes: the same; a result may not be larger either.
        timeout: as it was given: ``5m``.
        seconds: the same.
    """

    memory: str
    memory_bytes: int
    timeout: str
    seconds: float


def parse_limits(memory: str, timeout: str) -> Limits:
    """The limits that two options say.

    Args:
        memory: a size such as ``500MB`` or ``2GB``.
        timeout: a duration such as ``90s`` or ``5m``.

    Raises:
        ConfigurationError: one of them says something else.
    """
    size = _MEMORY.fullmatch(memory.strip())
    if size is None or int(size[1]) == 0:
        raise ConfigurationError(f"--memory-limit: expected a size such as 500MB or 2GB, got {memory!r}")
    try:
        seconds = parse_duration(timeout) / MICROSECONDS_PER_SECOND
    except ValueError as error:
        raise ConfigurationError(f"--timeout: {error}") from error
    return Limits(memory.strip(), int(size[1]) * _KILOBYTE ** _MEMORY_UNITS[size[2].upper()], timeout.strip(), seconds)


DEFAULT_LIMITS: Final = parse_limits(DEFAULT_MEMORY, DEFAULT_TIMEOUT)


def confine(connection: duckdb.DuckDBPyConnection, tables: Location, limits: Limits) -> None:
    """Close everything to queries except the tables' directory. It cannot be opened again in this connection."""
    directories = {Path(tables.uri).absolute(), Path(tables.uri).resolve()} if tables.is_local else set()
    # With a slash at the end: the setting is compared as a beginning of paths, and tables-old is another directory.
    quoted = ", ".join(f"'{_escape_quotes(directory)}/'" for directory in sorted(directories))
    for setting in (
        f"memory_limit = '{limits.memory}'",
        "temp_directory = ''",  # nothing is written: a query that does not fit into the memory ends
        "python_enable_replacements = false",  # variables of this program are not tables
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        f"allowed_directories = [{quoted}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _escape_quotes(path: Path) -> str:
    return str(path).rstrip("/").replace("'", "''")


def query_inside(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The query that a statement runs: the statement itself, or what its EXPLAIN explains.

    EXPLAIN ANALYZE runs its statement, so that has to be one that reads, too.

    Raises:
        ConfigurationError: it is not one statement that reads, or it uses a function that reads something else.
        duckdb.Error: it is not SQL.
    """
    statements = connection.extract_statements(sql)
    explained = _EXPLAIN.match(sql)
    query = sql
    if len(statements) == 1 and statements[0].type is duckdb.StatementType.EXPLAIN and explained is not None:
        query = sql[explained.end() :]
        try:
            statements = connection.extract_statements(query)
        except duckdb.Error as error:  # what follows EXPLAIN is hidden from us, by a comment for example
            raise ConfigurationError(_STATEMENTS) from error
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise ConfigurationError(_STATEMENTS)
    _check_parts(connection, query)
    return query


def _check_parts(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    try:
        parsed = json.loads(rows[0][0])
    except RecursionError as error:
        raise ConfigurationError("the query is nested too deeply") from error
    if parsed["error"]:
        raise ConfigurationError(f"the query failed: {parsed['error_message']}")
    for part in _parts(parsed):
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
            raise ConfigurationError(_STATEMENTS)
        if kind == "TABLE_FUNCTION" and (name := part["function"]["function_name"].lower()) not in _TABLE_FUNCTIONS:
            raise ConfigurationError(f"a query can read only the tables, by their names: {name}() is not allowed")


def _parts(parsed: Any) -> Iterator[dict[str, Any]]:
    left = [parsed]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)


def fetch(connection: duckdb.DuckDBPyConnection, sql: str, limits: Limits) -> pa.Table:
    """The result of a query.

    Raises:
        ConfigurationError: it is larger than the memory that the query may use.
        duckdb.Error: the query failed.
    """
    # By batches: DuckDB's limit does not count the memory of an Arrow table.
    reader = connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        size += batch.nbytes
        if size > limits.memory_bytes:
            raise ConfigurationError(
                f"the result is larger than {limits.memory}; select less (LIMIT, fewer columns), or allow it more "
                "memory with --memory-limit"
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def refusal(error: duckdb.Error, limits: Limits) -> str:
    """The sentence for a query that DuckDB did not run."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            f"the query needs more memory than {limits.memory}; make it smaller, or allow it more with --memory-limit"
        )
    if isinstance(error, duckdb.PermissionException):
        what = _ERROR_KIND.sub("", lines[0]).partition(" - ")[0]
        return f"a query can read only the tables and their directory: {what}"
    return f"the query failed: {' '.join(lines[:2])}"
