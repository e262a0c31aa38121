"""The numbers of a backtest for a person.

Precision and recall are per transaction: precision is the share of transactions with a raised alert that are labelled
as fraud, recall the share of transactions labelled as fraud that have a raised alert. A rule with suppression raises
one alert for many transactions of an attack, so there is also the recall of hits: with an alert, raised or suppressed.
A rule that cannot detect an attack by its first transaction cannot reach a recall of 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.backtest.alerts import IS_FRAUD
from cardwatch_rules.backtest.run import Backtest
from cardwatch_rules.model import Rule
from cardwatch_rules.statuses import RAISED

TOP_KEYS: Final = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of one rule, or of all together (a transaction with alerts of several rules counts once in the shares).

    Attributes:
        alerts: raised alerts.
        suppressed: hits that are counted on another alert.
        keys: number of keys with a raised alert.
        alerts_a_day: raised alerts per calendar day (UTC) from the first to the last transaction of the period.
        alert_rate: share of the period's transactions with a raised alert.
        precision: share of these that are fraud; None without labels, or without alerts.
        recall: share of fraud with a raised alert; None without labels, or without fraud.
        recall_of_hits: share of fraud with an alert, raised or suppressed.
    """

    alerts: int
    suppressed: int
    keys: int
    alerts_a_day: float
    alert_rate: float
    precision: float | None
    recall: float | None
    recall_of_hits: float | None


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """One rule's figures.

    Attributes:
        top_keys: the keys with the most raised alerts, most first, with their number.
        by_day: columns ``day`` (days since epoch) and ``alerts``, one row per day with raised alerts.
    """

    rule: Rule
    figures: Figures
    top_keys: tuple[tuple[str, int], ...]
    by_day: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Summary:
    """A backtest's figures.

    Attributes:
        rules: the rules in the order that was asked for.
        together: all of them together; ``keys`` counts a card and a merchant as two.
        days: the number of calendar days (UTC) that the transactions of the period span.
    """

    rules: tuple[RuleSummary, ...]
    together: Figures
    days: int


def summarise(tested: Backtest, rules: Sequence[Rule]) -> Summary:
    """The figures of some of the tested rules."""
    days = int(tested.days["day"][-1]) - int(tested.days["day"][0]) + 1 if tested.days.height else 0
    summaries = []
    for rule in rules:
        alerts = tested.alerts[rule]
        raised = alerts.filter(pl.col("status") == RAISED)
        counts = raised.group_by("key").len().sort(["len", "key"], descending=[True, False])
        top = tuple((str(key), int(number)) for key, number in counts.head(TOP_KEYS).iter_rows())
        by_day = (
            raised.group_by((pl.col("event_time") // MICROSECONDS_PER_DAY).alias("day"))
            .agg(alerts=pl.len())
            .sort("day")
        )
        summaries.append(RuleSummary(rule, _figures(tested, alerts, counts.height, days), top, by_day))
    labels = [IS_FRAUD] if tested.labelled else []
    everything = [tested.alerts[rule].select("transaction_id", "status", *labels) for rule in rules]
    together = _figures(tested, pl.concat(everything), sum(summary.figures.keys for summary in summaries), days)
    return Summary(tuple(summaries), together, days)


def _figures(tested: Backtest, alerts: pl.DataFrame, keys: int, days: int) -> Figures:
    raised = alerts.filter(pl.col("status") == RAISED)
    alerted = raised.unique("transaction_id")
    precision = recall = recall_of_hits = None
    if tested.labelled:
        fraud = int(alerted[IS_FRAUD].sum())
        hit = int(alerts.unique("transaction_id")[IS_FRAUD].sum())
        precision, recall, recall_of_hits = (
            _share(fraud, alerted.height), _share(fraud, tested.fraud), _share(hit, tested.fraud),
        )  # fmt: skip
    return Figures(
        alerts=raised.height,
        suppressed=alerts.height - raised.height,
        keys=keys,
        alerts_a_day=raised.height / days if days else 0.0,
        alert_rate=alerted.height / tested.transactions if tested.transactions else 0.0,
        precision=precision,
        recall=recall,
        recall_of_hits=recall_of_hits,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
