"""The definition of ``gold.pipeline_minutes``' figures, in Spark's SQL.

Building it column by column from Python would take longer than planning the query.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import reduce
from typing import Final

from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_PIPELINE_MINUTES,
    SILVER_TRANSACTIONS,
    Table,
)
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.bronze.quarantine import LAKEHOUSE
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.time_ranges import TimeRange, time_filter

PRODUCER: Final = "producer"
ENRICHER: Final = "enricher"
DETECTOR: Final = "detector"
SERVICES: Final = (PRODUCER, ENRICHER, DETECTOR, LAKEHOUSE)
"""The services that have a row in every minute in which any service did something."""

MINUTE_US: Final = 60_000_000

_STATUSES: Final = ("raised", "suppressed", "retracted")
_PERCENTS: Final = (50, 95, 99)


@dataclass(frozen=True)
class Source:
    """What a table's rows say about a service, as SQL over the table's columns.

    Attributes:
        service: the service that did it; null for the lakehouse.
        at: the column with the time at which the service produced the row, in whose minute it counts.
        act: what a row counts as: row, an alert event's status (which counts as a row, too), late or refused.
        since: the column with the time from which the row's latency is measured; null where it has none.
        timed: which rows' latency counts.
        where: which rows count at all.
    """

    table: Table
    service: str
    _: KW_ONLY
    at: str
    act: str = "'row'"
    since: str = "NULL"
    timed: str = "true"
    where: str = "true"


SOURCES: Final = (
    Source(BRONZE_TRANSACTIONS, f"'{PRODUCER}'", at="broker_time"),
    Source(SILVER_TRANSACTIONS, f"'{ENRICHER}'", at="silver_broker_time", since="raw_broker_time"),
    Source(
        BRONZE_ALERT_EVENTS,
        f"'{DETECTOR}'",
        at="broker_time",
        act="status",
        since="raw_broker_time",
        timed="status = 'raised'",
    ),
    Source(BRONZE_LATE, f"'{DETECTOR}'", at="broker_time", act="'late'"),
    Source(BRONZE_TRANSACTIONS, f"'{LAKEHOUSE}'", at="ingested_at", since="broker_time"),
    Source(BRONZE_QUARANTINE, "service", at="dead_letter_broker_time", act="'refused'"),
    Source(
        BRONZE_QUARANTINE,
        f"'{LAKEHOUSE}'",
        at="quarantined_at",
        act="'refused'",
        where="dead_letter_broker_time IS NULL",
    ),
)
TABLES: Final = tuple({source.table.name: source.table for source in SOURCES}.values())
"""The tables of SOURCES, each once. The checkpoint of the query that follows them fixes their order."""


def arrivals(rows: DataFrame, table: Table) -> DataFrame:
    """``minute_us``: the minutes in which rows of one of TABLES count, one row for each of them."""
    times = dict.fromkeys(source.at for source in _sources(table))
    return rows.selectExpr(f"explode(array({', '.join(map(_minute_us, times))})) AS minute_us")


def minute_figures(session: SparkSession, tables_dir: str, when: Sequence[TimeRange]) -> DataFrame:
    """Columns of GOLD_PIPELINE_MINUTES for some time ranges, which begin and end with a minute."""
    acts = reduce(DataFrame.union, (_acts(read_table(session, tables_dir, table), table, when) for table in TABLES))
    return session.sql(_MINUTES, acts=acts)


def _sources(table: Table) -> list[Source]:
    return [source for source in SOURCES if source.table is table]


def _acts(rows: DataFrame, table: Table, when: Sequence[TimeRange]) -> DataFrame:
    """``minute_us``, ``service``, ``act`` and ``latency_ms`` (null where none is counted)."""
    # One scan per table, with a condition by which Delta can skip files.
    sources = _sources(table)
    acts = ", ".join(_act(source, when) for source in sources)
    near = " OR ".join(time_filter(when, source.at) for source in sources)
    return rows.where(near).selectExpr(f"inline(filter(array({acts}), act -> act IS NOT NULL))")


def _act(source: Source, when: Sequence[TimeRange]) -> str:
    # Clocks may be wrong: times that cannot be subtracted give no latency, and fail no query.
    latency = f"floor(try_subtract(unix_micros({source.at}), unix_micros({source.since})) / 1000)"
    fields = {
        "minute_us": _minute_us(source.at),
        "service": f"coalesce({source.service}, '{LAKEHOUSE}')",
        "act": source.act,
        "latency_ms": f"IF({source.timed}, CAST({latency} AS BIGINT), NULL)",
    }
    act = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    return f"IF({time_filter(when, source.at)} AND {source.where}, named_struct({act}), NULL)"


def _statement() -> str:
    """SQL that computes the minutes from ``acts``."""
    figures = {
        "rows": _times("row", *_STATUSES),
        "refused": _times("refused"),
        "late": _times("late"),
        **{f"alerts_{status}": _times(status) for status in _STATUSES},
        # The smallest latency that this percentage does not exceed, in whole numbers: without rounding.
        **{
            f"latency_p{percent}_ms": f"min(IF(rank * 100 >= of * {percent}, latency_ms, NULL))"
            for percent in _PERCENTS
        },
        "latency_max_ms": "max(latency_ms)",
    }
    found = ", ".join(f"{figure} AS `{name}`" for name, figure in figures.items())
    row = ", ".join(f"'{name}', `{name}`" for name in ("service", *figures))
    # A service that did nothing while others did has a row that says so.
    nothing = ", ".join(f"'{name}', CAST({'NULL' if 'latency' in name else '0'} AS BIGINT)" for name in figures)
    services = ", ".join(f"'{service}'" for service in SERVICES)
    columns = ", ".join(f"`{name}`" for name in GOLD_PIPELINE_MINUTES.columns)
    return f"""
        WITH counted AS (
            SELECT *, count(*) AS times, count(latency_ms) AS timed FROM {{acts}} GROUP BY ALL
        ), ranked AS (
            SELECT *, sum(timed) OVER (PARTITION BY minute_us, service) AS of,
                sum(timed) OVER (PARTITION BY minute_us, service ORDER BY latency_ms ROWS UNBOUNDED PRECEDING) AS rank
            FROM counted
        ), found AS (
            SELECT minute_us, service, {found} FROM ranked GROUP BY minute_us, service
        ), whole AS (
            SELECT timestamp_micros(minute_us) AS minute, collect_list(named_struct({row})) AS active, transform(
                array_except(array({services}), collect_set(service)),
                service -> named_struct('service', service, {nothing})
            ) AS idle
            FROM found GROUP BY minute_us
        ), every AS (
            SELECT minute, inline(concat(active, idle)), to_date(minute) AS minute_date FROM whole
        )
        SELECT {columns} FROM every
    """  # noqa: S608 - names are ours


def _times(*acts: str) -> str:
    listed = ", ".join(f"'{act}'" for act in acts)
    return f"sum(IF(act IN ({listed}), times, 0))"


def _minute_us(at: str) -> str:
    return f"unix_micros({at}) - pmod(unix_micros({at}), {MINUTE_US})"


_MINUTES: Final = _statement()
