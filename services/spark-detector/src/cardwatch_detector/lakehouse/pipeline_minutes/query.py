"""The streaming query that keeps ``gold.pipeline_minutes`` up with the tables that it is made of."""

from collections.abc import Callable
from functools import reduce
from typing import Final

from cardwatch_lakehouse.tables import GOLD_PIPELINE_MINUTES
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.pipeline_minutes.figures import TABLES, arrivals
from cardwatch_detector.lakehouse.pipeline_minutes.refresh import MANY, refresh_touched, touched
from cardwatch_detector.lakehouse.query import LakehouseQuery, follow
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.session_settings import MANY_ROWS, BatchSize, temporary_settings

# Of new files that a micro-batch takes at most, of each table.
_SOME: Final = {"maxBytesPerTrigger": "1g"}


def minutes_query(
    settings: LakehouseSettings, written: Callable[[int], None], *, many_rows: int = MANY_ROWS
) -> LakehouseQuery:
    """The query.

    Args:
        written: called with the number of rows after each commit.
        many_rows: from how many new rows on a micro-batch has the settings for many.
    """

    def source(session: SparkSession) -> DataFrame:
        return reduce(
            DataFrame.union,
            (arrivals(follow(session, table, settings.tables_dir, **_SOME), table) for table in TABLES),
        )

    size = BatchSize(many_rows=many_rows)

    def write(batch: DataFrame, batch_id: int) -> None:
        session = batch.sparkSession
        with temporary_settings(session, size.settings(MANY)):
            minutes = touched(batch)
        size.rows = sum(minutes.values())
        if minutes:
            written(refresh_touched(session, settings.tables_dir, minutes, batch_id, size.settings(MANY)))

    name = GOLD_PIPELINE_MINUTES.name
    return LakehouseQuery(name, settings.checkpoint_dir, settings.minutes_trigger, source, lambda: write, pool=name)
