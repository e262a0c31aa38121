"""Delta tables of a few rows, with the real columns, written without Spark: for tests of table maintenance."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from cardwatch_lakehouse.tables import Table
from deltalake import write_deltalake

NOON = datetime(2024, 11, 20, 12, tzinfo=UTC)
_TYPES: Mapping[str, Any] = {
    "STRING": pa.string(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "BINARY": pa.binary(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "DECIMAL(38,0)": pa.decimal128(38, 0),
    "ARRAY<STRING>": pa.list_(pa.string()),
    "ARRAY<INT>": pa.list_(pa.int32()),
}
CARD, OTHER = "0badc0de" * 4, "600dca4d" * 4


def write_rows(lake: Path, table: Table, *rows: Mapping[str, Any]) -> None:
    """Append rows to a table in the directory ``lake``, one file per partition; columns without a value are null."""
    fields = [(name, _TYPES[kind]) for name, kind in table.columns.items() if kind in _TYPES]
    filled = [{name: row.get(name) for name, _ in fields} for row in rows]
    table_rows = pa.Table.from_pylist(filled, pa.schema(fields))
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
