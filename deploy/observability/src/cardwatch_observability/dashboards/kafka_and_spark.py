"""The dashboard of Kafka and Spark: what consumers and queries do."""

from typing import Any, Final

from cardwatch_detector.runtime.metrics import (
    BATCH_SECONDS,
    BATCHES_TOTAL,
    INPUT_ROWS_TOTAL,
    LATE_ROWS_TOTAL,
    RESTARTS_TOTAL,
    STATE_BYTES,
    STATE_ROWS,
    WATERMARK_SECONDS,
)
from cardwatch_service.metrics import CONSUMED_TOTAL, LOST_TOTAL

from cardwatch_observability.catalogue import DETECTOR, LAKEHOUSE
from cardwatch_observability.dashboards.frame import Row, make
from cardwatch_observability.dashboards.spark_panels import BY_QUERY, WHOLE_BATCH
from cardwatch_observability.panels import BYTES, NUMBER, PER_SECOND, SECONDS, Query, graph
from cardwatch_observability.promql import increase, or_zero_while_up, rate, select
from cardwatch_observability.recorded import CONSUMER_LAG, CONSUMER_LAG_SECONDS, TOPIC_END_RATE

_SPARK_JOBS: Final = f'job=~"{DETECTOR}|{LAKEHOUSE}"'
# The detector's queries are named after their scopes; the lakehouse's have no lateness of transactions.
_VELOCITY_QUERIES: Final = 'query=~"velocity-.*"'


def kafka_and_spark() -> Any:
    """Consumer lag, micro-batches, state and failures."""
    return make(
        "cardwatch-kafka-spark",
        "Kafka and Spark",
        "Consumer lag, and Spark's queries: duration by phase, state, watermark, late rows.",
        [_kafka_row(), _micro_batches_row(), _state_row(), _failures_row()],
    )


def _kafka_row() -> Row:
    return Row(
        "Kafka",
        [
            graph(
                "Lag, messages",
                "By service and topic; known also while the service itself is dead.",
                NUMBER,
                Query(CONSUMER_LAG, "{{job}} {{topic}}"),
            ),
            graph(
                "Lag, time",
                "The time in which those messages arrived.",
                SECONDS,
                Query(CONSUMER_LAG_SECONDS, "{{job}}"),
            ),
            graph(
                "Messages produced, by topic",
                "From the topics' end offsets, whatever writes to them.",
                PER_SECOND,
                Query(TOPIC_END_RATE, "{{topic}}"),
            ),
            graph(
                "Messages consumed, by service and topic",
                "For Spark's services once for each query that reads the topic.",
                PER_SECOND,
                Query(rate(CONSUMED_TOTAL, by="job, topic"), "{{job}} {{topic}}"),
            ),
            graph(
                "Messages deleted before they were read",
                "Passed because CARDWATCH_ON_LOST_OFFSETS is continue; by default the service stops instead.",
                PER_SECOND,
                Query(rate(LOST_TOTAL, by="job, topic"), "{{job}} {{topic}}"),
            ),
        ],
    )


def _micro_batches_row() -> Row:
    return Row(
        "Micro-batches",
        [
            graph(
                "Duration by phase, detector",
                "Of the last micro-batch of the slowest query: triggerExecution is all of it, addBatch the work.",
                SECONDS,
                _by_phase(DETECTOR),
            ),
            graph(
                "Duration by phase, lakehouse",
                "Of the last micro-batch of the slowest query.",
                SECONDS,
                _by_phase(LAKEHOUSE),
            ),
            graph(
                "Duration by query",
                "Of the last micro-batch.",
                SECONDS,
                Query(f"max by (query) ({select(BATCH_SECONDS, _SPARK_JOBS, WHOLE_BATCH)})", BY_QUERY),
            ),
            graph(
                "Rows by query",
                "That micro-batches read.",
                PER_SECOND,
                Query(rate(select(INPUT_ROWS_TOTAL, _SPARK_JOBS), by="query"), BY_QUERY),
            ),
        ],
    )


def _state_row() -> Row:
    return Row(
        "State",
        [
            graph(
                "Groups in the state",
                "By query that keeps state. The velocity queries do not count theirs (it costs a read for each write) "
                "and show 0: look at the bytes.",
                NUMBER,
                Query(f"max by (query) ({select(STATE_ROWS, _SPARK_JOBS)})", BY_QUERY),
            ),
            graph(
                "Memory of the state",
                "That the state store uses; RocksDB's is outside Java's heap.",
                BYTES,
                Query(f"max by (query) ({select(STATE_BYTES, _SPARK_JOBS)})", BY_QUERY),
            ),
            graph(
                "Watermark, behind now",
                "The allowed lateness, plus the age of the newest transaction. Rises while nothing arrives.",
                SECONDS,
                Query(f"time() - max by (query) ({select(WATERMARK_SECONDS, _VELOCITY_QUERIES)} > 0)", BY_QUERY),
            ),
            graph(
                "Late rows",
                "Dropped by the watermark: their group was expired. One transaction counts up to twice per scope.",
                PER_SECOND,
                Query(rate(select(LATE_ROWS_TOTAL, _SPARK_JOBS), by="query"), BY_QUERY),
            ),
        ],
    )


def _failures_row() -> Row:
    return Row(
        "Failures",
        [
            graph(
                "Queries restarted",
                "After a failure, in the time shown so far.",
                NUMBER,
                *(
                    Query(
                        or_zero_while_up(increase(select(RESTARTS_TOTAL, job=job), by="query"), job),
                        f"{BY_QUERY} {job}",
                    )
                    for job in (DETECTOR, LAKEHOUSE)
                ),
            ),
            graph(
                "Micro-batches by query",
                "That were committed.",
                PER_SECOND,
                Query(rate(select(BATCHES_TOTAL, _SPARK_JOBS), by="query"), BY_QUERY),
            ),
        ],
    )


def _by_phase(job: str) -> Query:
    return Query(f"max by (phase) ({select(BATCH_SECONDS, job=job)})", "{{phase}}")
