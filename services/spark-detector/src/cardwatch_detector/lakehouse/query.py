"""What all streaming queries of the lakehouse have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch_lakehouse.tables import Table
from cardwatch_units.durations import parse_duration
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import BatchWriter, with_brief_errors
from cardwatch_detector.runtime.leases import Check, no_check, only_while_held

_POOL_PROPERTY: Final = "spark.scheduler.pool"


@dataclass(frozen=True)
class Schedule:
    """How often a query's micro-batches run, and in which scheduler pool.

    Attributes:
        trigger: time between looks at what is new, a duration such as ``10s``.
        pool: the pool of Spark's scheduler. Jobs that are long compared with those of the other queries need their own
            pool,
            or the others wait for all of their tasks.
    """

    trigger: str
    pool: str | None = None


@dataclass(frozen=True, kw_only=True)
class LakehouseQuery:
    """Passes what is new at its source to its writer.

    Attributes:
        name: the query's name in Spark, in metrics and in the checkpoint's path.
        checkpoint_dir: the directory of all queries' checkpoints.
        source: the stream that it reads.
        make_writer: makes the writer, a new one for each start.
        topics: full names of the topics that it reads; none if it reads tables.
        check: returns if this process may write.
    """

    name: str
    checkpoint_dir: str
    schedule: Schedule
    source: Callable[[SparkSession], DataFrame]
    make_writer: Callable[[], BatchWriter]
    topics: Sequence[str] = ()
    check: Check = no_check

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or continue from the checkpoint.

        Raises:
            CardwatchError: the writer cannot be made.
        """
        query = (
            self.source(session)
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{self.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(self.schedule.trigger)} microseconds")
            .foreachBatch(with_brief_errors(self.name, only_while_held(self.check, self.make_writer())))
        )
        context = session.sparkContext
        context.setLocalProperty(_POOL_PROPERTY, self.schedule.pool)  # type: ignore[arg-type]  # None: as documented
        try:
            return query.start()
        finally:
            context.setLocalProperty(_POOL_PROPERTY, None)  # type: ignore[arg-type]

    def on_failure(self, reason: str) -> None:
        """Do nothing: the next start repeats the same micro-batch. What cannot be decoded fails no query."""

    def while_running(self) -> None:
        """Do nothing: the query needs nothing beside it."""

    def needs_restart(self) -> bool:
        """Return False: the query's work does not change while it runs."""
        return False


def follow_table(session: SparkSession, table: Table, tables_dir: str, **limits: str) -> DataFrame:
    """A stream of the rows added to a table; where there is no new version, a trigger starts no Spark job.

    Args:
        limits: upper limits of a micro-batch's size, as options of Delta's source.
    """
    return (
        session.readStream.format("delta")
        .options(**limits)
        # The pipeline only appends to these tables; rows that somebody deletes must not stop the query for ever.
        .option("skipChangeCommits", "true")
        .load(table.path(tables_dir))
    )
