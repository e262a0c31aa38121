"""The micro-batch under way, as Spark's own execution of the query sees it."""

from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.runtime.progress import Offsets, offsets_of

# Spark's name.
_QUERY_ID: Final = "sql.streaming.queryId"


class RunningBatch:
    """Asks one query, from its first micro-batch on. For each start of the query another one."""

    def __init__(self, session: SparkSession) -> None:
        self._session: Final = session
        self._execution: Any = None

    def context(self, batch: DataFrame) -> Any:
        """Spark's execution context (in the JVM) of a micro-batch that is not committed yet.

        Args:
            batch: as ``foreachBatch`` gets it. Its own plan is of no use: it begins behind the state.
        """
        if self._execution is None:
            # By its id, as the first micro-batch may come before ``start()`` has returned the query.
            query = self._session.streams.get(str(batch.sparkSession.sparkContext.getLocalProperty(_QUERY_ID)))
            if query is None:
                raise RuntimeError("a micro-batch runs outside its streaming query")
            self._execution = query._jsq.streamingQuery()
        return self._execution.getLatestExecutionContext()

    def stretch(self, batch: DataFrame) -> tuple[Offsets, Offsets]:
        """The offsets where the micro-batch begins and where it ends, the latter not included."""
        context = self.context(batch)
        return offsets_of(context.startOffsets()), offsets_of(context.endOffsets())
