"""The messages in ``bronze.transactions``, and silver's records of those whose card numbers are masked."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import ReceivedMessage, broker_time_from
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS
from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND, to_microseconds

from cardwatch_enricher.rebuild.enrich_bronze import BronzeMessage, Place

_ROWS_PER_BATCH: Final = 10_000
_TIMES: Final = ("broker_time", "ingested_at")
_COLUMNS: Final = ("topic", "partition", "offset", *_TIMES, "timestamp_type", "key", "value", "headers", "redacted")
_PLACE: Final = ("raw_topic", "raw_partition", "raw_offset")


class BronzeMessages:
    """A snapshot of the tables from when this object is created; their writers are not disturbed."""

    def __init__(self, tables_dir: str, topics: Collection[str]) -> None:
        """
        Args:
            topics: full names of the topics whose messages bronze may hold.

        Raises:
            ConfigurationError: there is no bronze table.
        """
        self._catalog: Final = Catalog(tables_dir)
        self._topics: Final = frozenset(topics)
        self._bronze: Final[Any] = self._catalog.open(BRONZE_TRANSACTIONS.name).to_pyarrow_dataset()
        self._fields: Final[Sequence[str]] = [field["name"] for field in parsed_schema("transaction")["fields"]]

    def batches(self) -> Iterator[list[BronzeMessage]]:
        """All messages, some thousands at a time.

        Raises:
            ConfigurationError: a message is from another topic.
        """
        for batch in self._bronze.to_batches(columns=list(_COLUMNS), batch_size=_ROWS_PER_BATCH):
            if batch.num_rows:
                yield [self._message(row) for row in _with_plain_times(batch).to_pylist()]

    def silver_records(self, places: Collection[Place]) -> Mapping[Place, Record]:
        """The content of those messages that silver has rows of, as records of ``transaction.avsc``."""
        if self._silver is None:
            return {}
        offsets: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for topic, partition, offset in places:
            offsets[topic, partition].append(offset)
        found: dict[Place, Record] = {}
        for (topic, partition), some in offsets.items():
            # Files with other offsets are not opened: messages that are neighbours in bronze are neighbours in silver
            # too.
            where = (ds.field("raw_topic") == topic) & (ds.field("raw_partition") == partition)
            where &= (ds.field("raw_offset") >= min(some)) & (ds.field("raw_offset") <= max(some))
            # A table that an older version wrote lacks the newer fields.
            columns = [name for name in self._fields if name in self._silver.schema.names]
            rows = self._silver.to_table(columns=[*columns, *_PLACE], filter=where).to_pylist()
            found |= {(topic, partition, row["raw_offset"]): self._record(row) for row in rows}
        return found

    @cached_property
    def _silver(self) -> Any:
        if SILVER_TRANSACTIONS.name not in self._catalog.names():
            return None
        return self._catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_dataset()

    def _record(self, row: Mapping[str, Any]) -> Record:
        record: dict[str, Any] = {name: row.get(name) for name in self._fields}
        return record | {"event_time": to_microseconds(record["event_time"])}

    def _message(self, row: Mapping[str, Any]) -> BronzeMessage:
        if row["topic"] not in self._topics:
            raise ConfigurationError(
                f"bronze holds messages of {row['topic']}: expected {' or '.join(sorted(self._topics))}; "
                "set CARDWATCH_TOPIC_PREFIX to the prefix that they were sent with"
            )
        headers = tuple((header["key"], header["value"]) for header in row["headers"] or ())
        message = ReceivedMessage(
            row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers, _broker_time(row)
        )
        # Where only key or headers are masked, the value is complete.
        return BronzeMessage(message, masked=row["redacted"] and b"*" in (row["value"] or b""))


def _with_plain_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with their times in microseconds: Python has no type for those after the year 9999."""
    for name in _TIMES:
        at = batch.schema.get_field_index(name)
        batch = batch.set_column(at, name, batch.column(at).cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
    return batch


def _broker_time(row: Mapping[str, Any]) -> int | None:
    time: int | None = row["broker_time"]
    if time is None:
        return None
    # As near as one can come to the clock of the enricher that read it first.
    read_at = None if row["timestamp_type"] == "LogAppendTime" else row["ingested_at"]
    return broker_time_from(time // MICROSECONDS_PER_MILLISECOND, read_at=read_at)
