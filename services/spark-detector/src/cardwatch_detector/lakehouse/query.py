"""A streaming query of the lakehouse: what all of them have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch_lakehouse.tables import Table
from cardwatch_units.durations import parse_duration
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import Writer, with_brief_errors

_POOL: Final = "spark.scheduler.pool"


@dataclass(frozen=True)
class LakehouseQuery:
    """Hands what is new at its source to its writer.

    Attributes:
        name: the query's name in Spark, in metrics and in the checkpoint's path.
        checkpoint_dir: the directory of all queries' checkpoints.
        trigger: time between looks at what is new.
        source: the stream that it reads.
        writer: makes the writer; for each start a new one.
        topics: full names of the topics that it reads; none if it reads tables.
        pool: of Spark's scheduler. Jobs that are long beside those of the other queries need one of their own: the
            others must not wait for all of their tasks.
    """

    name: str
    checkpoint_dir: str
    trigger: str
    source: Callable[[SparkSession], DataFrame]
    writer: Callable[[], Writer]
    topics: Sequence[str] = ()
    pool: str | None = None

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint.

        Raises:
            CardwatchError: the writer cannot be made.
        """
        query = (
            self.source(session)
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{self.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(self.trigger)} microseconds")
            .foreachBatch(with_brief_errors(self.name, self.writer()))
        )
        context = session.sparkContext
        context.setLocalProperty(_POOL, self.pool)  # type: ignore[arg-type]  # None: as its documentation says
        try:
            return query.start()
        finally:
            context.setLocalProperty(_POOL, None)  # type: ignore[arg-type]

    def failed(self, reason: str) -> None:
        """Nothing to learn: the next start begins with the same micro-batch. What cannot be decoded fails no query."""

    def outdated(self) -> bool:
        """Never: what it does does not change while it runs."""
        return False


def follow(session: SparkSession, table: Table, tables_dir: str, **bounds: str) -> DataFrame:
    """A stream of what is added to a table; where there is no new version, a trigger starts no Spark job.

    Args:
        bounds: of a micro-batch, as options of Delta's source.
    """
    return (
        session.readStream.format("delta")
        .options(**bounds)
        # Tables only grow by themselves; who deletes rows there must not stop the query for ever.
        .option("skipChangeCommits", "true")
        .load(table.path(tables_dir))
    )
