"""One dashboard for each service on Spark, and one for Kafka's and Spark's insides."""

from typing import Any, Final

from cardwatch_detector.lakehouse.maintenance.metrics import (
    LIVE_BYTES,
    LIVE_FILES,
    PARTITION_FILES_MAX,
    SMALL_FILES,
    UPKEEP_FAILURES_TOTAL,
    UPKEEP_PARTITIONS_TOTAL,
    UPKEEP_SECONDS,
    UPKEEP_TIMESTAMP_SECONDS,
)
from cardwatch_detector.lakehouse.metrics import ROWS_WRITTEN_TOTAL
from cardwatch_detector.lakehouse.profiles.refresh import (
    NEWEST_PROFILE_SECONDS,
    PROFILE_REFRESH_SECONDS,
    PROFILES_PUBLISHED_TOTAL,
)
from cardwatch_detector.runtime.progress import (
    BATCH_SECONDS,
    BATCHES_TOTAL,
    INPUT_ROWS_TOTAL,
    LATE_ROWS_TOTAL,
    RESTARTS_TOTAL,
    STATE_BYTES,
    STATE_ROWS,
    WATERMARK_SECONDS,
)
from cardwatch_detector.velocity.late.late_publisher import LATE_TOTAL
from cardwatch_detector.velocity.publishing.alert_publisher import ALERTS_TOTAL
from cardwatch_detector.velocity.rules.active_rules import RULES
from cardwatch_service.metrics import CONSUMED_TOTAL, LATENCY_SECONDS, REFUSED_TOTAL

from cardwatch_observability.catalogue import DETECTOR, LAKEHOUSE
from cardwatch_observability.dashboards.frame import AnyPanel, Row, lag_panels, make, process_row
from cardwatch_observability.panels import (
    A_SECOND,
    BYTES,
    NUMBER,
    SECONDS,
    Limits,
    Query,
    figure,
    graph,
    rows,
)
from cardwatch_observability.promql import increase, or_zero_while_up, quantile, rate, select
from cardwatch_observability.recorded import CONSUMER_LAG, CONSUMER_LAG_SECONDS, TOPIC_END_RATE

_WHOLE: Final = 'phase="triggerExecution"'
_BY_QUERY: Final = "{{query}}"
_VELOCITY: Final = 'query=~"velocity-.*"'
"""The detector's queries, named after their scopes; the lakehouse's have no lateness of transactions to wait for."""


def detector() -> Any:
    """From silver to alerts."""
    live_rules = select(RULES, 'state="live"', job=DETECTOR)
    return make(
        "cardwatch-detector",
        "Detector",
        "Silver transactions in, alerts out: the velocity queries.",
        [
            Row(
                "Alerts",
                [
                    figure(
                        "Transactions",
                        "Rows that micro-batches took in.",
                        A_SECOND,
                        Query(rate(select(INPUT_ROWS_TOTAL, job=DETECTOR))),
                    ),
                    figure(
                        "Micro-batch",
                        "Duration of the last one.",
                        SECONDS,
                        Query(f"max({select(BATCH_SECONDS, _WHOLE, job=DETECTOR)})"),
                        limits=Limits(1, 5),
                    ),
                    figure(
                        "Rules, live",
                        "That the detector evaluates and tells.",
                        NUMBER,
                        Query(f"max({live_rules})"),
                    ),
                    graph(
                        "Alert events, a minute",
                        "By status, of live and shadow rules.",
                        NUMBER,
                        Query(
                            f"60 * {rate(select(ALERTS_TOTAL, job=DETECTOR), by='status, mode')}", "{{status}} {{mode}}"
                        ),
                        stacked=True,
                    ),
                    graph(
                        "Latency to the alert",
                        "From the broker's time of the raw transaction to the publication of its alert.",
                        SECONDS,
                        *(
                            Query(
                                quantile(
                                    share,
                                    LATENCY_SECONDS,
                                    'start="raw_broker_time"',
                                    'end="alert_published"',
                                    job=DETECTOR,
                                ),
                                f"p{share * 100:g}",
                            )
                            for share in (0.5, 0.95, 0.99)
                        ),
                    ),
                    graph(
                        "Too late to be evaluated, a minute",
                        "Transactions by scope; kept in transactions.late.v1.",
                        NUMBER,
                        Query(
                            f"60 * ({or_zero_while_up(rate(select(LATE_TOTAL, job=DETECTOR), by='scope'), DETECTOR)})",
                            "{{scope}}",
                        ),
                    ),
                ],
            ),
            Row("Queries", _query_panels(DETECTOR)),
            Row("Behind", lag_panels(DETECTOR)),
            process_row(DETECTOR),
        ],
    )


def lakehouse() -> Any:
    """The Delta tables."""

    def by_table(metric: str) -> Query:
        return Query(f"max by (table) ({select(metric, job=LAKEHOUSE)})", "{{table}}")

    return make(
        "cardwatch-lakehouse",
        "Lakehouse",
        "The queries that write the Delta tables, and the tables' files.",
        [
            Row(
                "Rows",
                [
                    graph(
                        "Rows written, by table",
                        "Inserted or changed.",
                        A_SECOND,
                        Query(rate(select(ROWS_WRITTEN_TOTAL, job=LAKEHOUSE), by="table"), "{{table}}"),
                    ),
                    graph(
                        "To quarantine, by reason",
                        "Messages that could not be decoded, and dead letters of the other services.",
                        A_SECOND,
                        Query(
                            or_zero_while_up(rate(select(REFUSED_TOTAL, job=LAKEHOUSE), by="reason"), LAKEHOUSE),
                            "{{reason}}",
                        ),
                        stacked=True,
                    ),
                ],
            ),
            Row("Queries", _query_panels(LAKEHOUSE)),
            Row("Behind", lag_panels(LAKEHOUSE)),
            Row(
                "Files",
                [
                    rows(
                        "Tables",
                        "Of the current version; measured every five minutes.",
                        NUMBER,
                        Query(by_table(LIVE_FILES).expression, "files"),
                        Query(by_table(LIVE_BYTES).expression, "bytes"),
                        Query(by_table(SMALL_FILES).expression, "small files"),
                        Query(by_table(PARTITION_FILES_MAX).expression, "most in a partition"),
                    ),
                    graph(
                        "Most files in a partition",
                        "Above 50 for long, upkeep does not keep up.",
                        NUMBER,
                        by_table(PARTITION_FILES_MAX),
                        limits=Limits(50, 200),
                    ),
                    graph("Bytes", "Of the current version, without history.", BYTES, by_table(LIVE_BYTES)),
                    graph(
                        "Upkeep failures",
                        "Tables that upkeep could not see to, in the time shown so far; it tries again the next time.",
                        NUMBER,
                        Query(
                            or_zero_while_up(
                                increase(select(UPKEEP_FAILURES_TOTAL, job=LAKEHOUSE), by="table"), LAKEHOUSE
                            ),
                            "{{table}}",
                        ),
                    ),
                    figure(
                        "Last upkeep",
                        "Since it got through all tables; it first comes ten minutes after a start. "
                        "Since the start, where it has not come yet.",
                        SECONDS,
                        Query(
                            f"time() - max({select(UPKEEP_TIMESTAMP_SECONDS, job=LAKEHOUSE)} > 0 "
                            f"or {select('process_start_time_seconds', job=LAKEHOUSE)})"
                        ),
                        limits=Limits(2 * 3600, 6 * 3600),
                    ),
                    figure(
                        "Upkeep took",
                        "The last time; 0 before the first.",
                        SECONDS,
                        Query(f"max({select(UPKEEP_SECONDS, job=LAKEHOUSE)})"),
                    ),
                    figure(
                        "Partitions written anew",
                        "By upkeep, in the time shown.",
                        NUMBER,
                        Query(or_zero_while_up(increase(select(UPKEEP_PARTITIONS_TOTAL, job=LAKEHOUSE)), LAKEHOUSE)),
                    ),
                ],
            ),
            Row(
                "Profiles of cards",
                [
                    figure(
                        "Newest profiles",
                        "Age of the newest day that there are profiles for. Since 1970 where there are none yet.",
                        SECONDS,
                        Query(f"time() - max({select(NEWEST_PROFILE_SECONDS, job=LAKEHOUSE)})"),
                        limits=Limits(2 * 86400, 3 * 86400),
                    ),
                    figure(
                        "Last refresh took",
                        "0 before the first.",
                        SECONDS,
                        Query(f"max({select(PROFILE_REFRESH_SECONDS, job=LAKEHOUSE)})"),
                    ),
                    figure(
                        "Profiles published",
                        "In the time shown.",
                        NUMBER,
                        Query(increase(select(PROFILES_PUBLISHED_TOTAL, job=LAKEHOUSE))),
                    ),
                ],
            ),
            process_row(LAKEHOUSE),
        ],
    )


def kafka_and_spark() -> Any:
    """What queries and consumers do inside."""
    jobs = f'job=~"{DETECTOR}|{LAKEHOUSE}"'
    return make(
        "cardwatch-kafka-spark",
        "Kafka and Spark",
        "Consumer lag, and Spark's queries: duration by phase, state, watermark, late rows.",
        [
            Row(
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
                        "How long those messages took to come.",
                        SECONDS,
                        Query(CONSUMER_LAG_SECONDS, "{{job}}"),
                    ),
                    graph(
                        "Messages that come, by topic",
                        "From the topics' ends, whoever writes to them.",
                        A_SECOND,
                        Query(TOPIC_END_RATE, "{{topic}}"),
                    ),
                    graph(
                        "Messages taken, by service and topic",
                        "Of Spark's services once for each query that reads the topic.",
                        A_SECOND,
                        Query(rate(CONSUMED_TOTAL, by="job, topic"), "{{job}} {{topic}}"),
                    ),
                ],
            ),
            Row(
                "Micro-batches",
                [
                    graph(
                        "Duration by phase, detector",
                        "Of the last micro-batch, the slowest query's: triggerExecution is all of it, addBatch the "
                        "work.",
                        SECONDS,
                        Query(
                            f"max by (phase) ({select(BATCH_SECONDS, job=DETECTOR)})",
                            "{{phase}}",
                        ),
                    ),
                    graph(
                        "Duration by phase, lakehouse",
                        "Of the last micro-batch, the slowest query's.",
                        SECONDS,
                        Query(
                            f"max by (phase) ({select(BATCH_SECONDS, job=LAKEHOUSE)})",
                            "{{phase}}",
                        ),
                    ),
                    graph(
                        "Duration by query",
                        "Of the last micro-batch.",
                        SECONDS,
                        Query(f"max by (query) ({select(BATCH_SECONDS, jobs, _WHOLE)})", _BY_QUERY),
                    ),
                    graph(
                        "Rows by query",
                        "That micro-batches took in.",
                        A_SECOND,
                        Query(rate(select(INPUT_ROWS_TOTAL, jobs), by="query"), _BY_QUERY),
                    ),
                ],
            ),
            Row(
                "State",
                [
                    graph(
                        "Groups in the state",
                        "By query that keeps state. The velocity queries do not count theirs (it costs a read for each "
                        "write) and show 0: look at the bytes.",
                        NUMBER,
                        Query(f"max by (query) ({select(STATE_ROWS, jobs)})", _BY_QUERY),
                    ),
                    graph(
                        "Memory of the state",
                        "That the state store uses; RocksDB's is outside Java's heap.",
                        BYTES,
                        Query(f"max by (query) ({select(STATE_BYTES, jobs)})", _BY_QUERY),
                    ),
                    graph(
                        "Watermark, behind now",
                        "The lateness that is allowed, plus how far the newest transaction is behind. Rises while "
                        "nothing comes.",
                        SECONDS,
                        Query(f"time() - max by (query) ({select(WATERMARK_SECONDS, _VELOCITY)} > 0)", _BY_QUERY),
                    ),
                    graph(
                        "Late rows",
                        "Dropped by the watermark: their group was gone. One transaction counts up to twice a scope.",
                        A_SECOND,
                        Query(rate(select(LATE_ROWS_TOTAL, jobs), by="query"), _BY_QUERY),
                    ),
                ],
            ),
            Row(
                "Failures",
                [
                    graph(
                        "Queries started again",
                        "After a failure, in the time shown so far.",
                        NUMBER,
                        Query(
                            or_zero_while_up(increase(select(RESTARTS_TOTAL, job=DETECTOR), by="query"), DETECTOR),
                            "{{query}} detector",
                        ),
                        Query(
                            or_zero_while_up(increase(select(RESTARTS_TOTAL, job=LAKEHOUSE), by="query"), LAKEHOUSE),
                            "{{query}} lakehouse",
                        ),
                    ),
                    graph(
                        "Micro-batches by query",
                        "That were committed.",
                        A_SECOND,
                        Query(rate(select(BATCHES_TOTAL, jobs), by="query"), _BY_QUERY),
                    ),
                ],
            ),
        ],
    )


def _query_panels(job: str) -> list[AnyPanel]:
    return [
        graph(
            "Duration of micro-batches",
            "Of each query's last one.",
            SECONDS,
            Query(f"max by (query) ({select(BATCH_SECONDS, _WHOLE, job=job)})", _BY_QUERY),
        ),
        graph(
            "Rows",
            "That each query's micro-batches took in.",
            A_SECOND,
            Query(rate(select(INPUT_ROWS_TOTAL, job=job), by="query"), _BY_QUERY),
        ),
    ]
