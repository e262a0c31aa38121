"""The streaming query that keeps ``gold.pipeline_minutes`` up with the tables that it is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from cardwatch_lakehouse.tables import GOLD_PIPELINE_MINUTES, Table
from cardwatch_rules.parse import parse_duration
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.lakehouse.pipeline_minutes import TABLES, arrivals, refresh_touched, touched
from cardwatch_detector.settings import LakehouseSettings

# Of new files that a micro-batch takes at most, of each table.
_BYTES_A_BATCH: Final = "1g"

_POOL: Final = "spark.scheduler.pool"


@dataclass(frozen=True)
class MinutesQuery:
    """Follows the versions of the tables; where there is no new one, a trigger starts no Spark job.

    Attributes:
        written: called with the number of rows after each commit.
    """

    settings: LakehouseSettings
    written: Callable[[int], None]

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path."""
        return GOLD_PIPELINE_MINUTES.name

    @property
    def topics(self) -> Sequence[str]:
        """None: it reads tables."""
        return ()

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint."""
        settings = self.settings
        writer = (
            reduce(DataFrame.union, (self._follow(session, table) for table in TABLES))
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{settings.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(settings.minutes_trigger)} microseconds")
            .foreachBatch(self._write)
        )
        context = session.sparkContext
        # Its jobs are long beside those of the other queries, which must not wait for all of their tasks.
        context.setLocalProperty(_POOL, self.name)
        try:
            return writer.start()
        finally:
            context.setLocalProperty(_POOL, None)  # type: ignore[arg-type]  # as its documentation says

    def _follow(self, session: SparkSession, table: Table) -> DataFrame:
        rows = (
            session.readStream.format("delta")
            .option("maxBytesPerTrigger", _BYTES_A_BATCH)
            # The tables only grow by themselves; who deletes rows there must not stop the query for ever.
            .option("skipChangeCommits", "true")
            .load(table.path(self.settings.tables_dir))
        )
        return arrivals(rows, table)

    def _write(self, batch: DataFrame, batch_id: int) -> None:
        """Do one micro-batch; doing it again changes nothing."""
        minutes = touched(batch)
        if minutes:
            self.written(refresh_touched(batch.sparkSession, self.settings.tables_dir, minutes, batch_id))

    def failed(self, reason: str) -> None:
        """Nothing to learn: the next start begins with the same micro-batch."""

    def outdated(self) -> bool:
        """Never: what it does does not change while it runs."""
        return False
