"""Metrics of Spark's streaming queries, which both the detector and the lakehouse have."""

from collections.abc import Collection, Mapping
from typing import Final

from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge

from cardwatch_detector.runtime.spark_offsets import Offsets

BATCHES_TOTAL: Final = "cardwatch_spark_batches_total"
INPUT_ROWS_TOTAL: Final = "cardwatch_spark_input_rows_total"
BATCH_SECONDS: Final = "cardwatch_spark_batch_duration_seconds"
STATE_ROWS: Final = "cardwatch_spark_state_rows"
STATE_BYTES: Final = "cardwatch_spark_state_bytes"
LATE_ROWS_TOTAL: Final = "cardwatch_spark_late_rows_total"
WATERMARK_SECONDS: Final = "cardwatch_spark_watermark_timestamp_seconds"
RESTARTS_TOTAL: Final = "cardwatch_spark_query_restarts_total"


class QueryMetrics:
    """Metrics of Spark's streaming queries, labelled ``query``.

    Where several queries read one topic, the service's position and lag in it are those of the slowest.
    """

    def __init__(self, metrics: Metrics, queries: Mapping[str, Collection[str]]) -> None:
        """``queries`` are all the queries that this process runs: name → full names of the topics it reads."""
        self.common: Final = metrics
        self._positions: Final[dict[str, Offsets]] = {
            query: {topic: {} for topic in topics} for query, topics in queries.items()
        }
        self._lags: Final[dict[tuple[str, str], dict[str, int]]] = {}
        registry = metrics.registry
        self.batches: Final = Counter(BATCHES_TOTAL, "Micro-batches committed.", ["query"], registry=registry)
        self.rows: Final = Counter(INPUT_ROWS_TOTAL, "Rows that micro-batches took in.", ["query"], registry=registry)
        self.batch_seconds: Final = Gauge(
            BATCH_SECONDS,
            "Duration of the last micro-batch, by phase as Spark names it.",
            ["query", "phase"],
            registry=registry,
        )
        self.state_rows: Final = Gauge(STATE_ROWS, "Groups in the state.", ["query"], registry=registry)
        self.state_bytes: Final = Gauge(STATE_BYTES, "Memory that the state store uses.", ["query"], registry=registry)
        self.late_rows: Final = Counter(
            LATE_ROWS_TOTAL,
            "Rows that Spark dropped because their group was evicted; not a number of transactions.",
            ["query"],
            registry=registry,
        )
        self.watermark: Final = Gauge(WATERMARK_SECONDS, "Event time of the watermark.", ["query"], registry=registry)
        self.restarts: Final = Counter(
            RESTARTS_TOTAL, "Times a failed query was started again.", ["query"], registry=registry
        )
        for query in queries:
            self.restarts.labels(query)  # from 0: Prometheus's increase() misses the first value of a new series

    def set_position(self, query: str, committed: Offsets) -> None:
        """Set the position to the offsets up to which a query has committed everything."""
        self._positions[query].update(committed)
        for topic, partitions in committed.items():
            readers = [at[topic] for at in self._positions.values() if topic in at]
            for partition in partitions:
                slowest = min(at.get(partition, 0) for at in readers)
                self.common.position.labels(topic, partition).set(slowest)

    def set_lag(self, query: str, *, topic: str, partition: str, lag: int) -> None:
        """Set how many offsets a query was behind a partition's end when its last micro-batch ended."""
        lags = self._lags.setdefault((topic, partition), {})
        lags[query] = lag
        self.common.lag.labels(topic, partition).set(max(lags.values()))
