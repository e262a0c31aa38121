"""Enriched transactions in a Delta table of their own, from which silver is rebuilt."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import pyarrow as pa
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import Record
from cardwatch_lakehouse.catalog import one_line
from cardwatch_lakehouse.locations import locate
from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.rebuild.bronze_messages import BronzeMessages
from cardwatch_enricher.rebuild.enrich_bronze import BronzeEnrichment

# Only the original run knew this field: a rebuilt row takes it from the row that it replaces.
_NOT_STAGED: Final = "enriched_at"
_ROWS_PER_COMMIT: Final = 200_000
_MOMENT: Final = pa.timestamp("us", "UTC")
_TYPES: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
}


def staged_schema() -> pa.Schema:
    """The fields of ``enriched_transaction.avsc`` except ``enriched_at``."""
    fields = json.loads(schema_text("enriched_transaction"))["fields"]
    return pa.schema([(field["name"], _arrow(field["type"])) for field in fields if field["name"] != _NOT_STAGED])


def write_enriched(to: str, pipeline: Pipeline, bronze: BronzeMessages) -> None:
    """Pass the messages in bronze through the pipeline into a new table; prints the counts to standard output.

    Raises:
        ConfigurationError: bronze cannot be read, there is a table already, or it cannot be written.
    """
    work = BronzeEnrichment(pipeline, bronze.silver_records, lambda counts: print(counts.as_json(), flush=True))
    write_staged(to, work.enrich(bronze.batches()))
    print(work.counts.as_json(), flush=True)


def write_staged(to: str, batches: Iterable[list[Record]]) -> None:
    """Write all records, in commits of some hundred thousand; the table is complete when this returns.

    Raises:
        ConfigurationError: there is a table already, or it cannot be written.
    """
    place, schema = locate(to), staged_schema()
    options = place.options()

    def write(rows: pa.Table, mode: Literal["error", "append"]) -> None:
        try:
            write_deltalake(place.uri, rows, mode=mode, storage_options=options)
        except (DeltaError, OSError, ValueError) as error:
            raise ConfigurationError(f"{to} cannot be written: {one_line(error)}") from error

    write(schema.empty_table(), "error")
    # Not a stream of batches in one commit: while deltalake writes, it blocks all reads, and the batches come from
    # tables that are read with it.
    waiting: list[pa.RecordBatch] = []
    for batch in _arrow_batches(batches, schema):
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= _ROWS_PER_COMMIT:
            write(pa.Table.from_batches(waiting, schema), "append")
            waiting = []
    if waiting:
        write(pa.Table.from_batches(waiting, schema), "append")


def _arrow_batches(batches: Iterable[list[Record]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    plain = pa.schema([field.with_type(pa.int64()) if field.type == _MOMENT else field for field in schema])
    for records in batches:
        yield pa.RecordBatch.from_pylist(records, plain).cast(schema)


def _arrow(avro_type: Any) -> pa.DataType:
    if isinstance(avro_type, list):
        (avro_type,) = (branch for branch in avro_type if branch != "null")
    if isinstance(avro_type, dict):
        return _MOMENT if avro_type.get("logicalType") == "timestamp-micros" else _arrow(avro_type["type"])
    return _TYPES[str(avro_type)]
