"""Rebuilds gold.alerts: the alerts of the rules that were in force, evaluated over silver."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import pyarrow as pa
from cardwatch_contracts.values import SHOWN_FIELDS
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import BRONZE_LATE, GOLD_ALERTS, SILVER_TRANSACTIONS
from cardwatch_rules.backtest.alerts import measure_columns
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.model import Rule
from cardwatch_rules.statuses import RETRACTED
from deltalake import DeltaTable, write_deltalake

from cardwatch_cli.backtest.silver import open_silver
from cardwatch_cli.backtest.transaction_request import TransactionRequest
from cardwatch_cli.tables.rebuild.rules import Era, RulesInForce

# Columns of the rule and its hit, see ``alert_frame``.
_HIT_COLUMNS: Final = (
    "alert_id",
    "status",
    "rule_id",
    "rule_version",
    "rule_title",
    "severity",
    "mode",
    "scope",
    "key",
    "transaction_id",
    "event_time",
    "measures",
    "window_start",
    "suppressed_by",
)
# Columns of the transaction.
_TRANSACTION_COLUMNS: Final = tuple(name for name in SHOWN_FIELDS if name not in _HIT_COLUMNS)
# The other columns cannot be computed from the history: which arrival caused the alert, its evidence, when it was
# published, and its labels.
_LIVE_COLUMNS: Final = tuple(name for name in GOLD_ALERTS.columns if name not in (*_HIT_COLUMNS, *_TRANSACTION_COLUMNS))
_MEASURE: Final = pl.Struct(
    {
        "name": pl.String,
        "expression": pl.String,
        "window_us": pl.Int64,
        "value": pl.Float64,
        "value_long": pl.Int64,
        "text": pl.String,
    }
)


@dataclass(frozen=True, slots=True)
class RebuiltAlerts:
    """Numbers of a rebuilt table gold.alerts.

    Attributes:
        rows: rows of the table.
        retracted: how many of these are retracted alerts, which are copied from the live table.
        late: transactions that were left out because a detector had left them out.
        without_live_columns: alerts that the live table does not have.
    """

    rows: int
    retracted: int
    late: int
    without_live_columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTables:
    """Directories of the tables.

    Attributes:
        live: the tables as they are.
        silver: the silver table to evaluate.
        rebuilt: the rebuilt tables; gold.alerts exists there and is empty.
    """

    live: str
    silver: str
    rebuilt: str


def rebuild_alerts(tables: AlertTables, rules: RulesInForce, scopes: Sequence[str]) -> RebuiltAlerts:
    """Append the rows to the rebuilt table gold.alerts.

    Args:
        scopes: the scopes to evaluate.

    Raises:
        ConfigurationError: a table does not exist or cannot be read.
    """
    tables_dir, silver_dir, to = tables.live, tables.silver, tables.rebuilt
    late = _late(tables_dir)
    arrived = _arrivals(silver_dir)
    frames = [
        alert_frame(era.rule, found)
        for scope in scopes
        if (eras := [era for era in rules.eras if era.rule.scope == scope])
        for era, found in _evaluated(silver_dir, eras, rules, late.get(scope, frozenset()), arrived)
    ]
    known = _known(tables_dir, to)
    standing = pl.concat(frames) if frames else None
    rows = [] if standing is None else [_with_all_columns(standing, silver_dir, known)]
    standing_ids = pl.Series([], dtype=pl.String) if standing is None else standing["alert_id"]
    retracted = known.filter((pl.col("status") == RETRACTED) & ~pl.col("alert_id").is_in(standing_ids.implode()))
    table = _open(to)
    schema: Any = pa.schema(table.schema().to_arrow())  # type: ignore[arg-type]
    whole = pl.concat([*rows, retracted.select(*GOLD_ALERTS.columns)], how="vertical_relaxed")
    write_deltalake(table, whole.to_arrow().cast(schema), mode="append")
    unknown = 0 if standing is None else standing.filter(~pl.col("alert_id").is_in(known["alert_id"].implode())).height
    return RebuiltAlerts(
        rows=whole.height,
        retracted=retracted.height,
        late=len(frozenset[str]().union(*late.values())),
        without_live_columns=unknown,
    )


def alert_frame(rule: Rule, found: pl.DataFrame) -> pl.DataFrame:
    """The alerts of a backtest with the columns of gold.alerts that are of the rule and its hit."""
    measures = [
        pl.struct(
            name=pl.lit(measure.name),
            expression=pl.lit(measure.expression),
            window_us=pl.lit(measure.window_us, pl.Int64),
            value=pl.lit(None, pl.Float64) if kind == pl.String else pl.col(name).cast(pl.Float64),
            value_long=pl.col(name) if kind == pl.Int64 else pl.lit(None, pl.Int64),
            text=pl.col(name) if kind == pl.String else pl.lit(None, pl.String),
        )
        for measure, name, kind in measure_columns(rule)
    ]
    return found.select(
        "alert_id",
        "status",
        "rule_id",
        "rule_version",
        pl.lit(rule.title).alias("rule_title"),
        pl.lit(rule.severity.value).alias("severity"),
        pl.lit(rule.mode.value).alias("mode"),
        pl.lit(rule.scope).alias("scope"),
        "key",
        "transaction_id",
        _moment(pl.col("event_time")),
        (pl.concat_list(measures) if measures else pl.lit([], pl.List(_MEASURE))).alias("measures"),
        _moment(pl.col("event_time") - rule.longest_window_us).alias("window_start"),
        "suppressed_by",
    )


def _evaluated(
    silver_dir: str, eras: Sequence[Era], rules: RulesInForce, late: frozenset[str], arrived: pl.LazyFrame
) -> Iterator[tuple[Era, pl.DataFrame]]:
    different = tuple(dict.fromkeys(era.rule for era in eras))
    transactions = open_silver(silver_dir, TransactionRequest(different, Period()))
    if late:
        transactions = transactions.filter(~pl.col("transaction_id").is_in(pl.Series(sorted(late)).implode()))
    tested = backtest(transactions, different, Period(), rules.lists)
    for era in eras:
        found = tested.alerts[era.rule]
        if Era(era.rule) != era and found.height:
            # A changed rule evaluates transactions that arrive from then on, over windows that begin earlier.
            arrivals = arrived.join(found.lazy().select("transaction_id"), on="transaction_id", how="semi").collect()
            inside = arrivals.filter((pl.col("at") >= era.start_us) & (pl.col("at") < era.end_us))
            found = found.filter(pl.col("transaction_id").is_in(inside["transaction_id"].implode()))
        yield era, found


def _with_all_columns(standing: pl.DataFrame, silver_dir: str, known: pl.DataFrame) -> pl.DataFrame:
    of_transaction = (
        pl.scan_delta(_open(silver_dir, SILVER_TRANSACTIONS.name))
        .select("transaction_id", "event_time", *_TRANSACTION_COLUMNS, pl.col("raw_broker_time").alias("arrived"))
        .join(standing.lazy().select("transaction_id").unique(), on="transaction_id", how="semi")
        .collect(engine="streaming")
    )
    return (
        standing.join(of_transaction, on=["transaction_id", "event_time"], how="left")
        .join(known.select("alert_id", *_LIVE_COLUMNS), on="alert_id", how="left")
        .with_columns(pl.coalesce("raw_broker_time", "arrived").alias("raw_broker_time"))
        .select(*GOLD_ALERTS.columns)
    )


def _known(tables_dir: str, to: str) -> pl.DataFrame:
    """The rows of the live table; if it does not exist, those of the rebuilt one, which is empty."""
    exists = GOLD_ALERTS.name in Catalog(tables_dir).names()
    found = pl.scan_delta(_open(tables_dir if exists else to)).collect()
    # A table of an older version lacks columns.
    missing = [name for name in GOLD_ALERTS.columns if name not in found.columns]
    empty = pl.scan_delta(_open(to)).select(missing).collect() if missing else pl.DataFrame()
    return pl.concat([found, empty], how="diagonal").select(*GOLD_ALERTS.columns)


def _late(tables_dir: str) -> dict[str, frozenset[str]]:
    """The transactions that a detector did not evaluate, by scope."""
    if BRONZE_LATE.name not in Catalog(tables_dir).names():
        return {}
    rows = pl.scan_delta(_open(tables_dir, BRONZE_LATE.name)).select("transaction_id", "scopes").collect()
    by_scope = rows.explode("scopes").drop_nulls().group_by("scopes").agg("transaction_id")
    return {scope: frozenset(ids) for scope, ids in by_scope.iter_rows()}


def _arrivals(silver_dir: str) -> pl.LazyFrame:
    """When each transaction arrived, ``at``: on the silver topic, or, if that is unknown, on the raw topic."""
    at = pl.coalesce("silver_broker_time", "raw_broker_time").dt.epoch("us").alias("at")
    return pl.scan_delta(_open(silver_dir, SILVER_TRANSACTIONS.name)).select("transaction_id", at)


def _open(tables_dir: str, name: str = GOLD_ALERTS.name) -> DeltaTable:
    place = locate(tables_dir).of(name)
    return DeltaTable(place.uri, storage_options=place.options())


def _moment(us: pl.Expr) -> pl.Expr:
    return us.cast(pl.Datetime("us", "UTC"))
