"""The streaming query that keeps ``gold.pipeline_minutes`` up to date with the tables that it is computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from cardwatch_lakehouse.tables import GOLD_PIPELINE_MINUTES
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId
from cardwatch_detector.lakehouse.metrics import WriteCounter
from cardwatch_detector.lakehouse.pipeline_minutes.figures import TABLES, arrivals
from cardwatch_detector.lakehouse.pipeline_minutes.refresh import (
    SETTINGS_FOR_MANY,
    refresh_touched,
    rows_by_minute,
)
from cardwatch_detector.lakehouse.query import LakehouseQuery, Schedule, follow_table
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.session_settings import BatchSize, temporary_settings

# The limit of new files per micro-batch, of each table.
_ONE_GIGABYTE: Final = {"maxBytesPerTrigger": "1g"}


@dataclass
class MinuteWriter:
    """Computes the minutes that have new rows in any of the tables.

    Attributes:
        tables_dir: where the tables are.
        counter: counts the rows after each commit.
        size: how many rows the work has; carried from micro-batch to micro-batch.
    """

    tables_dir: str
    counter: WriteCounter
    size: BatchSize = field(default_factory=BatchSize)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch of ``arrivals``; repeating it changes nothing."""
        session = batch.sparkSession
        with temporary_settings(session, self.size.settings(SETTINGS_FOR_MANY)):
            minutes = rows_by_minute(batch)
        self.size.rows = sum(minutes.values())
        if minutes:
            settings = self.size.settings(SETTINGS_FOR_MANY)
            rows = refresh_touched(session, self.tables_dir, minutes, write_id=WriteId(batch_id), settings=settings)
            self.counter.rows_written(GOLD_PIPELINE_MINUTES, rows)


def minutes_query(
    settings: LakehouseSettings, counter: WriteCounter, make_size: Callable[[], BatchSize] = BatchSize
) -> LakehouseQuery:
    """The query.

    Args:
        make_size: creates the size that the query's settings depend on.
    """

    def source(session: SparkSession) -> DataFrame:
        streams = (
            arrivals(follow_table(session, table, settings.tables_dir, **_ONE_GIGABYTE), table) for table in TABLES
        )
        return reduce(DataFrame.union, streams)

    writer = MinuteWriter(settings.tables_dir, counter, make_size())
    name = GOLD_PIPELINE_MINUTES.name
    return LakehouseQuery(
        name=name,
        checkpoint_dir=settings.checkpoint_dir,
        schedule=Schedule(settings.minutes_trigger, pool=name),
        source=source,
        make_writer=lambda: writer,
    )
