"""The dashboard of the lakehouse."""

from typing import Any

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
from cardwatch_detector.lakehouse.metrics import (
    NEWEST_PROFILE_SECONDS,
    PROFILE_REFRESH_SECONDS,
    PROFILES_PUBLISHED_TOTAL,
    ROWS_WRITTEN_TOTAL,
)
from cardwatch_service.metrics import REFUSED_TOTAL

from cardwatch_observability.catalogue import LAKEHOUSE
from cardwatch_observability.dashboards.frame import Row, lag_panels, make, process_row
from cardwatch_observability.dashboards.spark_panels import query_panels
from cardwatch_observability.panels import (
    BYTES,
    NUMBER,
    PER_SECOND,
    SECONDS,
    AnyPanel,
    Limits,
    Query,
    figure,
    graph,
    rows,
)
from cardwatch_observability.promql import increase, or_zero_while_up, rate, select


def lakehouse() -> Any:
    """The Delta tables."""
    return make(
        "cardwatch-lakehouse",
        "Lakehouse",
        "The queries that write the Delta tables, and the tables' files.",
        [
            _rows_row(),
            Row("Queries", query_panels(LAKEHOUSE)),
            Row("Lag", lag_panels(LAKEHOUSE)),
            Row("Files", [*_file_panels(), *_maintenance_panels()]),
            _profiles_row(),
            process_row(LAKEHOUSE),
        ],
    )


def _rows_row() -> Row:
    return Row(
        "Rows",
        [
            graph(
                "Rows written, by table",
                "Inserted or changed.",
                PER_SECOND,
                Query(rate(select(ROWS_WRITTEN_TOTAL, job=LAKEHOUSE), by="table"), "{{table}}"),
            ),
            graph(
                "To quarantine, by reason",
                "Messages that could not be decoded, and dead letters of the other services.",
                PER_SECOND,
                Query(
                    or_zero_while_up(rate(select(REFUSED_TOTAL, job=LAKEHOUSE), by="reason"), LAKEHOUSE),
                    "{{reason}}",
                ),
                stacked=True,
            ),
        ],
    )


def _file_panels() -> list[AnyPanel]:
    return [
        rows(
            "Tables",
            "Of the current version; measured every five minutes.",
            NUMBER,
            Query(_by_table(LIVE_FILES).expression, "files"),
            Query(_by_table(LIVE_BYTES).expression, "bytes"),
            Query(_by_table(SMALL_FILES).expression, "small files"),
            Query(_by_table(PARTITION_FILES_MAX).expression, "most in a partition"),
        ),
        graph(
            "Most files in a partition",
            "Above 50 for long, maintenance does not keep up.",
            NUMBER,
            _by_table(PARTITION_FILES_MAX),
            limits=Limits(50, 200),
        ),
        graph("Bytes", "Of the current version, without history.", BYTES, _by_table(LIVE_BYTES)),
    ]


def _maintenance_panels() -> list[AnyPanel]:
    return [
        graph(
            "Maintenance failures",
            "Tables that maintenance could not process, in the time shown so far; the next run tries again.",
            NUMBER,
            Query(
                or_zero_while_up(increase(select(UPKEEP_FAILURES_TOTAL, job=LAKEHOUSE), by="table"), LAKEHOUSE),
                "{{table}}",
            ),
        ),
        figure(
            "Last maintenance",
            "Time since a run of all tables was completed; the first run is ten minutes after a start. Time since the "
            "start, if there was none yet.",
            SECONDS,
            Query(
                f"time() - max({select(UPKEEP_TIMESTAMP_SECONDS, job=LAKEHOUSE)} > 0 "
                f"or {select('process_start_time_seconds', job=LAKEHOUSE)})"
            ),
            limits=Limits(2 * 3600, 6 * 3600),
        ),
        figure(
            "Maintenance took",
            "The last run; 0 before the first.",
            SECONDS,
            Query(f"max({select(UPKEEP_SECONDS, job=LAKEHOUSE)})"),
        ),
        figure(
            "Partitions rewritten",
            "By maintenance, in the time shown.",
            NUMBER,
            Query(or_zero_while_up(increase(select(UPKEEP_PARTITIONS_TOTAL, job=LAKEHOUSE)), LAKEHOUSE)),
        ),
    ]


def _profiles_row() -> Row:
    return Row(
        "Profiles of cards",
        [
            figure(
                "Newest profiles",
                "Age of the newest day that there are profiles for. Time since 1970 if there are none yet.",
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
    )


def _by_table(metric: str) -> Query:
    return Query(f"max by (table) ({select(metric, job=LAKEHOUSE)})", "{{table}}")
