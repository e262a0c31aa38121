"""What alerts stand for a set of transactions: asked of the evaluator in Python and of the oracle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
from cardwatch_oracle import expected_alerts
from cardwatch_rules.backtest.alerts import alerts_of
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import PROFILE_FIELDS, PROFILE_KINDS, SCOPE_KEYS
from cardwatch_rules.model import Rule
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.profiles import ARRIVED, with_profiles

from support.equivalence.rule_sets import RuleSet

Profiles = Mapping[tuple[str, int], Mapping[str, Any]]
"""(key of a card, beginning of a day in microseconds) → a profile without the fields that are null."""

# DuckDB and NumPy have sines of their own, and distances are rounded to the metre.
_RELATIVE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that stands: a hit that raises one, or is counted on another one."""

    rule: Rule
    key: str
    transaction_id: str
    event_time: int
    status: str
    suppressed_by: str | None
    measures: Mapping[str, Any]


Alerts = dict[str, Alert]
"""By alert id."""


class Engine(Protocol):
    """Something that knows which alerts a set of transactions has."""

    def alerts(self, rules: RuleSet, transactions: pl.DataFrame, profiles: Profiles) -> Alerts:
        """The alerts, given each transaction once."""


class PythonEvaluator:
    """The evaluator of the backtest."""

    def alerts(self, rules: RuleSet, transactions: pl.DataFrame, profiles: Profiles) -> Alerts:
        """See Engine."""
        if profiles:
            found = _with_given_profiles(rules, transactions, profiles)
        else:
            # A rule of profiles would compute them from the transactions; without any, none of its alerts is wanted.
            tested = [rule for rule in rules.evaluated if "profile." not in rule.when]
            found = dict(backtest(transactions.lazy(), tested, Period(), rules.lists, threads=1).alerts)
            others = [rule for rule in rules.evaluated if "profile." in rule.when]
            if others:
                found |= _with_given_profiles(RuleSet(tuple(others), rules.lists), transactions, profiles)
        return {
            row["alert_id"]: Alert(
                rule, row["key"], row["transaction_id"], row["event_time"], row["status"], row["suppressed_by"],
                {measure.name: row[measure.name] for measure in rule.measures},
            )
            for rule, alerts in found.items()
            for row in alerts.to_dicts()
        }  # fmt: skip


class Oracle:
    """The oracle, which asks DuckDB.

    Args:
        file: for the rules.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def alerts(self, rules: RuleSet, transactions: pl.DataFrame, profiles: Profiles) -> Alerts:
        """See Engine.

        Raises:
            OracleError: DuckDB cannot calculate something, as a product of more than 64 bits.
        """
        rules.write(self._file)
        by_id = {rule.rule_id: rule for rule in rules.rules}
        found = expected_alerts(
            transactions.drop("raw_broker_time").to_arrow(), self._file, lists=rules.lists, profiles=_table(profiles)
        )
        return {
            row["alert_id"]: Alert(
                by_id[row["rule_id"]], row["key"], row["transaction_id"], row["event_time"], row["status"],
                row["suppressed_by"], json.loads(row["measures"]),
            )
            for row in found.to_pylist()
        }  # fmt: skip


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a measure are equal; NaN is."""
    return bool(one == other) or (one != one and other != other)


def same_by_oracle(one: Alert, other: Alert) -> bool:
    """Whether two alerts are equal but for the rounding of doubles."""
    if replace(one, measures={}) != replace(other, measures={}) or one.measures.keys() != other.measures.keys():
        return False
    return all(_nearly(value, other.measures[name]) for name, value in one.measures.items())


def _nearly(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= _RELATIVE * max(abs(one), abs(other), 1.0)
    return bool(one == other)


def _with_given_profiles(rules: RuleSet, transactions: pl.DataFrame, profiles: Profiles) -> dict[Rule, pl.DataFrame]:
    found: dict[Rule, pl.DataFrame] = {}
    for scope, key in SCOPE_KEYS.items():
        own = [rule for rule in rules.evaluated if rule.scope == scope]
        if not own:
            continue
        keyed = transactions.filter(pl.col(key).is_not_null())
        keys = keyed[key].unique().sort()
        number = {name: at for at, name in enumerate(keys)}
        grouped = keyed.with_columns(
            group=keyed[key].replace_strict(number, return_dtype=pl.Int64) if number else pl.lit(0, pl.Int64)
        ).sort("group", "event_time", "transaction_id")
        known = [(number[card], day, profile) for (card, day), profile in profiles.items() if card in number]
        frame = with_profiles(grouped, _profile_frame(known))
        for hits in evaluate(frame, np.arange(frame.height), own, rules.lists):
            found[hits.rule] = alerts_of(frame, hits, key, Period())
    return found


def _profile_frame(known: Sequence[tuple[int, int, Mapping[str, Any]]]) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {
        "group": pl.Series([group for group, _, _ in known], dtype=pl.Int64),
        "event_time": pl.Series([day for _, day, _ in known], dtype=pl.Int64),
        ARRIVED: pl.Series([0] * len(known), dtype=pl.Int64),
    }
    for name, kind in PROFILE_KINDS.items():
        values = [profile.get(name.removeprefix("profile.")) for _, _, profile in known]
        columns[name] = pl.Series(values, dtype=polars_type(kind))
    return pl.DataFrame(columns)


def _table(profiles: Profiles) -> pa.Table:
    frame = {
        "card_token": pl.Series([card for card, _ in profiles], dtype=pl.String),
        "valid_on": pl.Series([day for _, day in profiles], dtype=pl.Int64),
        **{
            name: pl.Series([profile.get(name) for profile in profiles.values()], dtype=polars_type(kind))
            for name, kind in PROFILE_FIELDS.items()
        },
    }
    return pl.DataFrame(frame).to_arrow()
