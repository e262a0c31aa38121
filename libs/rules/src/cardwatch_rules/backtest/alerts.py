"""The hits of a rule in a chunk of transactions, as alerts."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl
from cardwatch_contracts.identity import alert_ids

from cardwatch_rules.backtest.period import Period
from cardwatch_rules.evaluate import Hits
from cardwatch_rules.measures import measure_kind
from cardwatch_rules.model import Measure, Rule
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.statuses import RAISED, SUPPRESSED
from cardwatch_rules.suppress import ALERTS, classify

# The column with the labels; absent if transactions have none.
IS_FRAUD: Final = "is_fraud"

COLUMNS: Final[Mapping[str, pl.DataType]] = {
    "alert_id": pl.String(),
    "rule_id": pl.String(),
    "rule_version": pl.Int32(),
    "transaction_id": pl.String(),
    "key": pl.String(),
    "event_time": pl.Int64(),
    "status": pl.String(),
    "suppressed_by": pl.String(),
}


def alerts_of(transactions: pl.DataFrame, hits: Hits, key: str, period: Period) -> pl.DataFrame:
    """The alerts of a rule in a period, suppressed ones included: COLUMNS, then the measures.

    Args:
        transactions: the frame that was evaluated; its column ``is_fraud`` is kept if there is one.
        hits: they begin far enough before the period to decide on suppression within it.
        key: the column of the rule's key.
    """
    rule = hits.rule
    labels = [IS_FRAUD] if IS_FRAUD in transactions.columns else []
    found = transactions.select("group", "event_time", "transaction_id", pl.col(key).alias("key"), *labels)[hits.rows]
    by = np.full(found.height, ALERTS, dtype=np.int64)
    if rule.suppress_us is not None:
        by = classify(found["group"].to_numpy(), found["event_time"].to_numpy(), rule.suppress_us)
    inside = found.select(period.holds(pl.col("event_time")).arg_true()).to_series().to_numpy()
    # Alert ids cost more than the rest: only those of the period's alerts and of the alerts that suppress them.
    suppressor = by[inside]
    suppressed = pl.Series(suppressor != ALERTS)
    suppressor = np.where(suppressor != ALERTS, suppressor, inside)
    named = np.union1d(inside, suppressor)
    identities = pl.Series(
        alert_ids(rule.rule_id, rule.version, found["transaction_id"][named].to_list()), dtype=pl.String
    )
    return found[inside].select(
        identities[np.searchsorted(named, inside)].alias("alert_id"),
        pl.lit(rule.rule_id).alias("rule_id"),
        pl.lit(rule.version, pl.Int32).alias("rule_version"),
        "transaction_id",
        "key",
        "event_time",
        pl.when(suppressed).then(pl.lit(SUPPRESSED)).otherwise(pl.lit(RAISED)).alias("status"),
        pl.when(suppressed).then(identities[np.searchsorted(named, suppressor)]).alias("suppressed_by"),
        *labels,
        *(
            hits.measures[measure.name].gather(inside).cast(kind).alias(name)
            for measure, name, kind in measure_columns(rule)
        ),
    )


def no_alerts(rule: Rule, *, labelled: bool) -> pl.DataFrame:
    """The frame of a rule without hits."""
    labels = {IS_FRAUD: pl.Boolean()} if labelled else {}
    return pl.DataFrame(schema={**COLUMNS, **labels, **{name: kind for _, name, kind in measure_columns(rule)}})


def measure_columns(rule: Rule) -> Iterator[tuple[Measure, str, pl.DataType]]:
    """The measures with their columns: ``<name>_measure`` where an alert has a column of the measure's name."""
    for measure in rule.measures:
        taken = measure.name in COLUMNS or measure.name == IS_FRAUD
        yield measure, f"{measure.name}_measure" if taken else measure.name, polars_type(measure_kind(measure))


def table(alerts: list[pl.DataFrame]) -> pl.DataFrame:
    """The alerts of one or more rules by time: COLUMNS, then one column per measure, null for other rules.

    ``event_time`` is a timestamp (microseconds, UTC). Measures of one name and different types become the wider type,
    text where one of them is text.
    """
    joined = pl.concat(alerts, how="diagonal_relaxed")
    measures = [name for name in joined.columns if name not in COLUMNS and name != IS_FRAUD]
    moments = pl.from_epoch("event_time", time_unit="us").dt.replace_time_zone("UTC")
    return joined.with_columns(moments).select(*COLUMNS, *measures).sort("event_time", "rule_id", "alert_id")
