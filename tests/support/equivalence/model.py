"""What a history has up to a micro-batch, and what its next micro-batch has to publish.

That is the difference between the alerts of all transactions up to it and those of all before it, both by the rules of
that micro-batch.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import copysign, isnan
from typing import Any, Final

import polars as pl
from cardwatch_rules.fields import PROFILE_SCOPE, SCOPE_KEYS, polars_schema
from cardwatch_rules.model import Rule

from support.equivalence.engines import Alert, Alerts, Engine
from support.equivalence.histories import History, Transaction
from support.equivalence.operator import EVIDENCE_LIMIT
from support.equivalence.rule_sets import RuleSet

_SCHEMA: Final = {**polars_schema(), "event_time": pl.Int64(), "raw_broker_time": pl.Int64()}


@dataclass
class State:
    """What all histories have up to a micro-batch.

    Attributes:
        rows: transaction id → the transaction that is taken, and its row in `all_rows`.
    """

    all_rows: pl.DataFrame
    rows: dict[str, tuple[Transaction, int]] = field(default_factory=dict)
    profiles: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> Mapping[tuple[str, str], Sequence[tuple[int, str]]]:
        """(scope, key) → event time and id of its transactions, in their order."""
        found: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for transaction, _ in self.rows.values():
            for scope, key in SCOPE_KEYS.items():
                if transaction[key] is not None:
                    found[scope, transaction[key]].append((transaction["event_time"], transaction["transaction_id"]))
        for own in found.values():
            own.sort()
        return found

    def window(self, rule: Rule, alert: Alert) -> Sequence[str]:
        """The ids of the transactions of an alert's longest window, in their order."""
        own = self.keys[rule.scope, alert.key]
        first = bisect_right(own, alert.event_time - rule.longest_window_us, key=lambda one: one[0])
        return [one for _, one in own[first : bisect_right(own, alert.event_time, key=lambda one: one[0])]]


def content(transaction: Transaction) -> tuple[Any, ...]:
    """What decides which of two arrivals of a transaction is taken: the smaller one."""
    return (transaction["event_time"], *(_comparable(transaction[name]) for name in _CONTENT))


def _comparable(value: Any) -> tuple[Any, ...]:
    """Null first; a zero with a minus before the one without, and NaN after all other numbers."""
    if value is None:
        return (0,)
    if isinstance(value, float):
        return (2,) if isnan(value) else (1, value, copysign(1, value))
    return (1, value)


# In the order of Field.java.
_CONTENT: Final = (
    "card_token", "card_bin", "merchant_id", "merchant_category_code", "merchant_category_group", "country",
    "bin_country", "channel", "transaction_type", "status", "currency", "device_id", "ip_address", "amount_minor",
    "base_amount_minor", "hour_of_day", "day_of_week", "latitude", "longitude",
)  # fmt: skip


def states_of(histories: Sequence[History]) -> list[State]:
    arrivals = [one for history in histories for arrived in history for one in arrived.transactions]
    all_rows = pl.DataFrame([{name: one[name] for name in _SCHEMA} for one in arrivals], schema=_SCHEMA)
    row = {id(one): at for at, one in enumerate(arrivals)}
    states = [State(all_rows)]
    for batch in zip(*histories, strict=True):
        state = State(all_rows, dict(states[-1].rows), dict(states[-1].profiles))
        for arrived in batch:
            for one in sorted(arrived.in_time(), key=lambda one: int(one["raw_broker_time"])):
                known = state.rows.get(one["transaction_id"])
                if known is None or content(one) < content(known[0]):
                    state.rows[one["transaction_id"]] = one, row[id(one)]
            state.profiles |= {(one["key"], one["valid_on"]): one["profile"] for one in arrived.profiles}
        states.append(state)
    return states


def alerts_at(state: State, engine: Engine, rules: RuleSet) -> Alerts:
    """What stands by an engine."""
    if not state.rows:
        return {}
    return engine.alerts(rules, state.all_rows[[at for _, at in state.rows.values()]], state.profiles)


@dataclass
class Touch:
    """A micro-batch: what it changes."""

    before: State
    after: State
    histories: Sequence[History]
    at: int

    @cached_property
    def changed(self) -> Mapping[str, int]:
        """Transaction id → the broker time of what is new about it."""
        return {
            name: row[0]["raw_broker_time"]
            for name, row in self.after.rows.items()
            if self.before.rows.get(name) != row
        }

    @cached_property
    def causes(self) -> Mapping[tuple[str, str], int]:
        """(scope, key) → the earliest broker time of what is new."""
        found: dict[tuple[str, str], int] = {}

        def add(of: tuple[str, str], time: int) -> None:
            found[of] = min(found.get(of, time), time)

        for name, time in self.changed.items():
            for scope, key in SCOPE_KEYS.items():
                if self.after.rows[name][0][key] is not None:
                    add((scope, self.after.rows[name][0][key]), time)
        for history in self.histories:
            for one in history[self.at].profiles:
                of = one["key"], one["valid_on"]
                if self.after.profiles[of] != self.before.profiles.get(of, {}):
                    add((PROFILE_SCOPE, one["key"]), history[self.at].now)
        return found


def transitions(touch: Touch, before: Alerts, after: Alerts) -> dict[str, dict[str, Any]]:
    """By alert id, what a micro-batch publishes."""
    expected = {}
    for name, alert in after.items():
        old = before.get(name)
        if old is None or (old.status, old.suppressed_by) != (alert.status, alert.suppressed_by):
            cause = touch.changed.get(alert.transaction_id)
            expected[name] = _row(touch, touch.after, alert, alert.status, cause)
    for name in before.keys() - after.keys():
        expected[name] = _row(touch, touch.before, before[name], "retracted", None)
    return expected


def _row(touch: Touch, state: State, alert: Alert, status: str, cause: int | None) -> dict[str, Any]:
    window = state.window(alert.rule, alert)
    return {
        "rule_id": alert.rule.rule_id,
        "rule_version": alert.rule.version,
        "mode": alert.rule.mode.value,
        "status": status,
        "key": alert.key,
        "transaction_id": alert.transaction_id,
        "event_time": alert.event_time,
        "suppressed_by": None if status == "retracted" else alert.suppressed_by,
        "window_start": alert.event_time - alert.rule.longest_window_us,
        "evidence": window[-EVIDENCE_LIMIT:],
        "evidence_count": len(window),
        "raw_broker_time": touch.causes.get((alert.rule.scope, alert.key)) if cause is None else cause,
        "measures": alert.measures,
    }
