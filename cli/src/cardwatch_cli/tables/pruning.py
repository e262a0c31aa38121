"""Which files of a table a query can need, by what the table's log says about each of them.

DuckDB plans the query over empty tables first: its optimiser says, for each scan, which conditions hold for every row
that is wanted, constants worked out. Conditions of a plain form are then held against the smallest and largest values
in the log. What is not of that form leaves files in, never out.
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
"""Column, comparison, constant as DuckDB writes it."""


def marked(number: int, column: str) -> str:
    """A column's name in the plan: it says which table it is of."""
    return f"{number}:{column}"


def scans(plan: str) -> Iterator[tuple[int | None, list[Condition]]]:
    """The scans of a plan (EXPLAIN's JSON): the table's number, if it can be told, and what holds for all its rows."""
    for node in _nodes(json.loads(plan)):
        if "SCAN" not in node["name"]:
            continue
        told = node["extra_info"]
        filters = _texts(told.get("Filters"))
        numbers = {int(mark) for text in (*filters, *_texts(told.get("Projections"))) for mark in _MARK.findall(text)}
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


def _texts(told: str | list[str] | None) -> list[str]:
    return [told] if isinstance(told, str) else told or []


def needed(
    connection: duckdb.DuckDBPyConnection, actions: pa.Table, alternatives: Sequence[Sequence[Condition]]
) -> list[str]:
    """The paths of the files that can hold a row for which all conditions of one of the alternatives hold.

    Args:
        actions: what the log says of the live files, flat (``DeltaTable.get_add_actions``).
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
        # Writers cut times to milliseconds in the log.
        largest = f'"{high}" + INTERVAL 1 MILLISECOND' if literal.startswith("TIMESTAMPTZ") else f'"{high}"'
        yield f'("{high}" IS NULL OR {largest} {comparison.replace("=", ">=").replace(">>=", ">=")} {literal})'
