"""Delta tables with their real columns, written without Spark, and rows for them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from cardwatch_lakehouse.tables import Table
from deltalake import write_deltalake

NOON = datetime(2024, 11, 20, 12, tzinfo=UTC)
CARD, OTHER = "0badc0de" * 4, "600dca4d" * 4


def write_rows(lake: Path, table: Table, *rows: Mapping[str, Any]) -> None:
    """Append rows to a table in the directory ``lake``, one file per partition; columns without a value are null."""
    filled = [{name: row.get(name) for name in table.columns} for row in rows]
    table_rows = pa.Table.from_pylist(filled, arrow_schema(table))
    write_deltalake(table.path(str(lake)), table_rows, mode="append", partition_by=list(table.partitioned_by) or None)


def silver_row(number: int, card: str, **more: Any) -> dict[str, Any]:
    """A row of silver.transactions; its event time is ``number`` seconds after noon."""
    at = NOON + timedelta(seconds=number)
    known = {
        "transaction_id": f"tx-{number:04d}",
        "card_token": card,
        "event_time": at,
        "event_date": at.date(),
        "raw_topic": "raw",
        "raw_partition": 0,
        "raw_offset": number,
    }
    return {**known, **more}


def bronze_row(
    offset: int, value: bytes, key: bytes = b"k", day: date = date(2024, 11, 20), topic: str = "raw"
) -> dict[str, Any]:
    """A row of bronze.transactions."""
    at = {"broker_time": NOON, "ingest_date": day}
    return {"topic": topic, "partition": 0, "offset": offset, "key": key, "value": value, **at}


def files_containing(directory: Path, words: Sequence[bytes]) -> list[Path]:
    """The files under a directory that contain one of the words, in their bytes or (Parquet) in their rows."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(one for one in directory.rglob("*") if one.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += repr(pq.read_table(path, partitioning=None).to_pylist()).encode()
        if any(word in content for word in words):
            found.append(path)
    return found


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table that is defined in the words of Spark's SQL."""
    return pa.schema([(name, _arrow_type(kind)) for name, kind in table.columns.items()])


def _arrow_type(kind: str) -> pa.DataType:
    simple = {
        "STRING": pa.string(), "INT": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "DATE": pa.date32(),
        "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us", "UTC"), "BINARY": pa.binary(),
    }  # fmt: skip
    if kind in simple:
        return simple[kind]
    if kind.startswith("DECIMAL("):
        precision, scale = kind[len("DECIMAL(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    if kind.startswith("ARRAY<"):
        return pa.list_(_arrow_type(kind[len("ARRAY<") : -1]))
    if kind.startswith("STRUCT<"):
        fields = [part.split(":") for part in kind[len("STRUCT<") : -1].split(", ")]
        return pa.struct([(name.strip(), _arrow_type(of.strip())) for name, of in fields])
    raise ValueError(kind)
