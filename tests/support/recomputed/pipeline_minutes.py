"""``gold.pipeline_minutes`` recomputed by DuckDB as docs/pipeline-minutes.md defines it, and its rows as they are."""

from pathlib import Path
from typing import Any, Final

import duckdb
from deltalake import DeltaTable

_TABLES: Final = {
    "transactions": "bronze/transactions",
    "late": "bronze/late",
    "quarantine": "bronze/quarantine",
    "events": "bronze/alert_events",
    "silver": "silver/transactions",
}

_DEFINED: Final = """
WITH done AS (
    SELECT 'producer' AS service, broker_time AS moment, 'row' AS what, NULL AS since FROM transactions
    UNION ALL SELECT 'lakehouse', ingested_at, 'row', broker_time FROM transactions
    UNION ALL SELECT 'enricher', silver_broker_time, 'row', raw_broker_time FROM silver
    UNION ALL SELECT 'detector', broker_time, status, raw_broker_time FROM events
    UNION ALL SELECT 'detector', broker_time, 'late', NULL FROM late
    UNION ALL SELECT coalesce(service, 'lakehouse'), coalesce(dead_letter_broker_time, quarantined_at), 'refused', NULL
        FROM quarantine
), measured AS (
    SELECT service, date_trunc('minute', moment) AS minute, what, CASE WHEN what NOT IN ('suppressed', 'retracted')
        THEN CAST(floor((epoch_us(moment) - epoch_us(since)) / 1000) AS BIGINT) END AS ms
    FROM done
), per_service AS (
    SELECT minute, service,
        count(*) FILTER (what IN ('row', 'raised', 'suppressed', 'retracted')) AS rows,
        count(*) FILTER (what = 'refused') AS refused, count(*) FILTER (what = 'late') AS late,
        count(*) FILTER (what = 'raised') AS alerts_raised, count(*) FILTER (what = 'suppressed') AS alerts_suppressed,
        count(*) FILTER (what = 'retracted') AS alerts_retracted,
        list_sort(coalesce(list(ms) FILTER (ms IS NOT NULL), [])) AS sorted
    FROM measured GROUP BY ALL
), every AS (
    SELECT * FROM (SELECT DISTINCT minute FROM per_service),
        (SELECT unnest(['producer', 'enricher', 'detector', 'lakehouse']) AS service)
    UNION SELECT minute, service FROM per_service
)
SELECT minute, service, coalesce(rows, 0) AS rows, coalesce(refused, 0) AS refused, coalesce(late, 0) AS late,
    coalesce(alerts_raised, 0) AS alerts_raised, coalesce(alerts_suppressed, 0) AS alerts_suppressed,
    coalesce(alerts_retracted, 0) AS alerts_retracted,
    sorted[(len(sorted) * 50 + 99) // 100] AS latency_p50_ms, sorted[(len(sorted) * 95 + 99) // 100] AS latency_p95_ms,
    sorted[(len(sorted) * 99 + 99) // 100] AS latency_p99_ms, sorted[len(sorted)] AS latency_max_ms,
    CAST(minute AS DATE) AS minute_date
FROM every LEFT JOIN per_service USING (minute, service) ORDER BY minute, service
"""


def recompute_minutes(tables_dir: Path) -> list[dict[str, Any]]:
    """The rows that follow from the other tables, by minute and service."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in _TABLES.items():
            connection.register(name, DeltaTable(str(tables_dir / path)).to_pyarrow_table())
        return _rows(connection.sql(_DEFINED))


def read_minutes(tables_dir: Path) -> list[dict[str, Any]]:
    """The rows of the table, by minute and service."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("minutes", DeltaTable(str(tables_dir / "gold/pipeline_minutes")).to_pyarrow_table())
        return _rows(connection.sql("SELECT * FROM minutes ORDER BY minute, service"))


def _rows(found: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
