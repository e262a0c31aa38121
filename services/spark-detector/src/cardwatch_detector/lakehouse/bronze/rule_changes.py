"""``bronze.rule_changes``: every message of the topics of rules and lists, as a hash chain per partition."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import polars as pl
from cardwatch_kafka.messages import broker_time_from
from cardwatch_lakehouse.audit.chain import GENESIS, Content, Link, chain
from cardwatch_lakehouse.audit.masking import mask_content
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, append, coalesce_to_few_files
from cardwatch_detector.lakehouse.io.read import collect_rows, read_table
from cardwatch_detector.lakehouse.metrics import WriteCounter

_POSITION: Final = ("topic", "partition", "offset")
_LINK_SCHEMA: Final = pl.Schema(
    {
        "topic": pl.String(),
        "partition": pl.Int32(),
        "offset": pl.Int64(),
        "broker_time": pl.Datetime("us", "UTC"),
        "key": pl.Binary(),
        "value": pl.Binary(),
        "redacted": pl.Boolean(),
        "previous_hash": pl.String(),
        "hash": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a partition in the table."""

    offset: int = -1
    hash: str = GENESIS


@dataclass(frozen=True)
class RuleChangeWriter:
    """Appends the messages of a micro-batch that the table does not have yet, whatever they contain.

    Tombstones and messages that nobody can decode are part of the trail as well. The table has no other writer, so that
    its last links cannot change between the look-up and the append.

    Attributes:
        tables_dir: where the tables are.
        counter: counts the rows after each commit.
    """

    tables_dir: str
    counter: WriteCounter

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing, from another checkpoint as well."""
        # In the driver: a chain has to be computed in order, and people make few changes.
        arrived = collect_rows(batch.select(*_POSITION, F.unix_millis("timestamp").alias("millis"), "key", "value"))
        if arrived.is_empty():
            return
        links = list(link_new(map(_content, arrived.sort(_POSITION).iter_rows()), self._heads(batch)))
        if links:
            rows = batch.sparkSession.createDataFrame(_frame(links).to_arrow())
            rows = rows.withColumn("recorded_at", F.current_timestamp())
            append(coalesce_to_few_files(rows, len(links)), BRONZE_RULE_CHANGES, self.tables_dir, WriteId(batch_id))
            self.counter.rows_written(BRONZE_RULE_CHANGES, len(links))

    def _heads(self, batch: DataFrame) -> dict[tuple[str, int], Head]:
        table = read_table(batch.sparkSession, self.tables_dir, BRONZE_RULE_CHANGES)
        last = table.groupBy("topic", "partition").agg(F.max(F.struct("offset", "hash")).alias("last"))
        return {(topic, partition): Head(*link) for topic, partition, link in last.collect()}


def link_new(contents: Iterable[Content], heads: dict[tuple[str, int], Head]) -> Iterator[Link]:
    """The links of the messages that come after the heads of their partitions.

    Args:
        contents: ordered by topic, partition and offset.
        heads: topic and partition → the last link; a partition without one begins a chain.
    """
    for place, own in groupby(contents, key=lambda content: (content.topic, content.partition)):
        head = heads.get(place, Head())
        yield from chain((content for content in own if content.offset > head.offset), head.hash)


def _content(row: tuple[Any, ...]) -> Content:
    topic, partition, offset, millis, key, value = row
    broker_time = None if millis is None else broker_time_from(millis)
    return mask_content(Content(topic, partition, offset, broker_time, key, value))


def _frame(links: list[Link]) -> pl.DataFrame:
    return pl.DataFrame(
        [(*link.content, link.previous_hash, link.hash) for link in links],
        schema={**_LINK_SCHEMA, "broker_time": pl.Int64()},
        orient="row",
    ).cast({"broker_time": _LINK_SCHEMA["broker_time"]})
