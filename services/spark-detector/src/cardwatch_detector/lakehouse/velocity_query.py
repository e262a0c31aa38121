"""The two streaming queries that keep ``gold.velocity_5m`` up with silver."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from cardwatch_rules.parse import parse_duration
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.lakehouse.velocity_5m import refresh_windows, transactions_by_window
from cardwatch_detector.settings import LakehouseSettings

# A window is in progress if it has this share of what is new; at most ten are, however much is new.
_BUSY: Final = 0.1

# Of new files that a micro-batch takes at most. Their rows are grouped by window, and each window is read again.
_ALL: Final = {"maxFilesPerTrigger": "1000000"}
_SOME: Final = {"maxBytesPerTrigger": "1g"}

_POOL: Final = "spark.scheduler.pool"


@dataclass(frozen=True)
class VelocityWriter:
    """Makes the windows anew that a micro-batch touches.

    Attributes:
        tables_dir: where the tables are.
        which: of the windows, by their number of new transactions, those to make.
        written: called with the number of rows after each commit.
        writing: held while one query writes, so that the other waits rather than meets it in Delta's log.
    """

    tables_dir: str
    which: Callable[[Mapping[int, int]], Sequence[int]]
    written: Callable[[int], None]
    writing: Lock

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Do one micro-batch; doing it again changes nothing."""
        windows = self.which(transactions_by_window(batch))
        if windows:
            with self.writing:
                self.written(refresh_windows(batch.sparkSession, self.tables_dir, windows, batch_id))


def all_of(touched: Mapping[int, int]) -> Sequence[int]:
    """Every window."""
    return sorted(touched)


def in_progress(touched: Mapping[int, int]) -> Sequence[int]:
    """The windows that most of the new transactions belong to: dear to wait for, and few."""
    total = sum(touched.values())
    return sorted(window for window, number in touched.items() if number >= _BUSY * total)


@dataclass(frozen=True)
class VelocityQuery:
    """Follows the versions of silver; where there is no new one, a trigger starts no Spark job.

    Attributes:
        name: the query's name in Spark, in metrics and in the checkpoint's path.
        trigger: time between looks at what is new.
        bounds: of a micro-batch, as options of Delta's source.
    """

    settings: LakehouseSettings
    name: str
    trigger: str
    write: VelocityWriter
    bounds: Mapping[str, str] = field(default_factory=lambda: _SOME)

    @property
    def topics(self) -> Sequence[str]:
        """None: it reads a table."""
        return ()

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint."""
        settings = self.settings
        writer = (
            session.readStream.format("delta")
            .options(**self.bounds)
            # Silver only grows by itself; who deletes rows there must not stop the query for ever.
            .option("skipChangeCommits", "true")
            .load(SILVER_TRANSACTIONS.path(settings.tables_dir))
            .select("event_time")
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{settings.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(self.trigger)} microseconds")
            .foreachBatch(self.write)
        )
        context = session.sparkContext
        # Its jobs are long beside those of the other queries, which must not wait for all of their tasks.
        context.setLocalProperty(_POOL, GOLD_VELOCITY_5M.name)
        try:
            return writer.start()
        finally:
            context.setLocalProperty(_POOL, None)  # type: ignore[arg-type]  # as its documentation says

    def failed(self, reason: str) -> None:
        """Nothing to learn: the next start begins with the same micro-batch."""

    def outdated(self) -> bool:
        """Never: what it does does not change while it runs."""
        return False


def velocity_queries(settings: LakehouseSettings, written: Callable[[int], None]) -> list[VelocityQuery]:
    """The query that makes every window that was touched, late ones too; and one that is ahead of it in the newest.

    The first alone makes the table right. Late transactions touch all windows of the last hour all the time, with a few
    rows each: making those again costs much, and nobody waits for them. So it has a long trigger, the second a short
    one.
    """
    name, writing = GOLD_VELOCITY_5M.name, Lock()

    def writer(which: Callable[[Mapping[int, int]], Sequence[int]]) -> VelocityWriter:
        return VelocityWriter(settings.tables_dir, which, written, writing)

    return [
        VelocityQuery(settings, name, settings.velocity_late_trigger, writer(all_of)),
        VelocityQuery(settings, f"{name}.in_progress", settings.velocity_trigger, writer(in_progress), _ALL),
    ]
