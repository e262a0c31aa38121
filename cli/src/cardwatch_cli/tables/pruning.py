"""The files of a table that a query can need, by the smallest and largest values in the table's log.

DuckDB plans the query over empty tables first: for each scan, the plan has the conditions that every row of the result
meets, with constants evaluated. Conditions of a plain form are then compared with the values in the log. A condition of
another form keeps files, and never removes any.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
import pyarrow as pa

_LITERAL: Final = r"(?:(?:TIMESTAMPTZ |DATE )?'(?:[^']|'')*'|-?\d+(?:\.\d+)?)"
_CONDITION: Final = rf'\("(\d+):(\w+)" (=|<=|>=|<|>) ({_LITERAL})\)'
_PLAIN: Final = re.compile(_CONDITION)
_ANONYMOUS: Final = _CONDITION.replace("(\\d+)", "\\d+").replace("(\\w+)", "\\w+").replace(f"({_LITERAL})", _LITERAL)
_PLAIN_OR_SEVERAL: Final = re.compile(rf"(?:{_ANONYMOUS}|\({_ANONYMOUS}(?: AND {_ANONYMOUS})+\))")
_MARK: Final = re.compile(r"(?:^|\")(\d+):")

Condition = tuple[str, str, str]
"""Column, comparison, and constant as DuckDB writes it."""


def marked(number: int, column: str) -> str:
    """The name of a column in plans, with the number of its table."""
    return f"{number}:{column}"


def scans(plan: str) -> Iterator[tuple[int | None, list[Condition]]]:
    """The scans of a plan (EXPLAIN's JSON): the table's number (None: unknown), and the conditions on its rows."""
    for node in _nodes(json.loads(plan)):
        if "SCAN" not in node["name"]:
            continue
        details = node["extra_info"]
        filters = _texts(details.get("Filters"))
        texts = (*filters, *_texts(details.get("Projections")))
        numbers = {int(mark) for text in texts for mark in _MARK.findall(text)}
        conditions = [
            (column, comparison, literal)
            for text in filters
            if _PLAIN_OR_SEVERAL.fullmatch(text)
            for _, column, comparison, literal in _PLAIN.findall(text)
        ]
        yield (numbers.pop() if len(numbers) == 1 else None), conditions


def _nodes(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _nodes(node["children"])


def _texts(detail: str | list[str] | None) -> list[str]:
    return [detail] if isinstance(detail, str) else detail or []


def needed_files(
    connection: duckdb.DuckDBPyConnection, actions: pa.Table, alternatives: Sequence[Sequence[Condition]]
) -> list[str]:
    """The paths of the files that can contain a row that meets all conditions of one of the alternatives.

    Args:
        actions: the log's entries of the live files, flat (``DeltaTable.get_add_actions``).
        alternatives: one list of conditions for each scan of the table.
    """
    any_of = " OR ".join(f"({_all_of(conditions, set(actions.schema.names))})" for conditions in alternatives)
    connection.register("live_files", actions)
    try:
        rows = connection.execute(f"SELECT path FROM live_files WHERE {any_of or 'true'}").fetchall()  # noqa: S608
    finally:
        connection.unregister("live_files")
    return [path for (path,) in rows]


def _all_of(conditions: Sequence[Condition], known: set[str]) -> str:
    return " AND ".join(["true", *(text for condition in conditions for text in _bounds(*condition, known))])


def _bounds(column: str, comparison: str, literal: str, known: set[str]) -> Iterator[str]:
    partition = f'"partition.{column}"'
    if partition.strip('"') in known:
        yield f"({partition} IS NULL OR {partition} {comparison} {literal})"
        return
    low, high = f"min.{column}", f"max.{column}"
    if low in known and comparison in ("=", "<", "<="):
        yield f'("{low}" IS NULL OR "{low}" {comparison.replace("=", "<=").replace("<<=", "<=")} {literal})'
    if high in known and comparison in ("=", ">", ">="):
        # Writers truncate times to milliseconds in the log.
        largest = f'"{high}" + INTERVAL 1 MILLISECOND' if literal.startswith("TIMESTAMPTZ") else f'"{high}"'
        yield f'("{high}" IS NULL OR {largest} {comparison.replace("=", ">=").replace(">>=", ">=")} {literal})'
