"""Rules over transactions of the past: scope after scope, in chunks, in threads.

Memory: ``rows_at_once`` transactions with the fields that the rules use, the evaluator's columns of a chunk for each
thread, and the hits. If there are more transactions, they are read again for each part of the keys.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY

from cardwatch_rules.backtest.alerts import IS_FRAUD, alerts_of, no_alerts
from cardwatch_rules.backtest.chunks import Chunks
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.model import Rule
from cardwatch_rules.needs import fields_used, reach_us, uses_profiles
from cardwatch_rules.profile_history import HISTORY_US, SOURCES, profiles_of
from cardwatch_rules.profiles import with_profiles

THREADS: Final = 2
ROWS_AT_ONCE: Final = 8_000_000
ROWS_PER_CHUNK: Final = 250_000

# Called with the number of rows done and of all rows; a row counts once per scope.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backtest:
    """The result of a backtest.

    Attributes:
        alerts: rule → its alerts in the period, see ``alerts.alerts_of``.
        days: one row per UTC day of the period that has transactions: ``day`` (days since epoch), ``transactions``,
            and ``fraud`` if they have labels.
    """

    alerts: Mapping[Rule, pl.DataFrame]
    days: pl.DataFrame

    @property
    def labelled(self) -> bool:
        """Whether the transactions have labels."""
        return "fraud" in self.days.columns

    @property
    def transactions(self) -> int:
        """The number of transactions in the period."""
        return int(self.days["transactions"].sum())

    @property
    def fraud(self) -> int:
        """The number of these that are labelled as fraud."""
        return int(self.days["fraud"].sum()) if self.labelled else 0


def history_us(rules: Sequence[Rule]) -> int:
    """How far before a period transactions can influence its alerts, microseconds."""
    return max((_history_us(rule) for rule in rules), default=0)


def fields_read(rules: Sequence[Rule]) -> set[str]:
    """The transaction fields that a backtest of the rules needs, besides id and time."""
    keys = {SCOPE_KEYS[rule.scope] for rule in rules}
    return fields_used(rules) | keys | (SOURCES if uses_profiles(rules) else frozenset())


def _history_us(rule: Rule) -> int:
    return reach_us(rule) + (HISTORY_US if uses_profiles([rule]) else 0)


def backtest(
    transactions: pl.LazyFrame,
    rules: Sequence[Rule],
    period: Period,
    lists: Mapping[str, frozenset[str]] | None = None,
    *,
    threads: int = THREADS,
    rows_at_once: int = ROWS_AT_ONCE,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Backtest:
    """Evaluate rules over all transactions of a period.

    Args:
        transactions: one row per ``transaction_id``, in any order, with ``event_time`` (int64, microseconds), the
            fields that the rules use, their scopes' keys, and ``is_fraud`` (boolean) if there are labels; from
            ``history_us`` before the period on.
        rules: the rules; one that is repeated is evaluated once.
        lists: the lists for ``in list('name')``.

    Profiles of cards are computed from the transactions, which must then have ``profile_history.SOURCES`` too.
    """
    by_scope: defaultdict[str, list[Rule]] = defaultdict(list)
    for rule in dict.fromkeys(rules):
        by_scope[rule.scope].append(rule)
    found: defaultdict[Rule, list[pl.DataFrame]] = defaultdict(list)
    rows = int(transactions.select(pl.len()).collect().item())
    if rows <= rows_at_once:
        # Read once instead of once per scope.
        transactions = transactions.collect().rechunk().lazy()
    days = _days(transactions, period)
    labelled = "fraud" in days.columns
    done, total = 0, rows * len(by_scope)
    with ThreadPoolExecutor(threads) as pool:
        for number, (scope, some) in enumerate(by_scope.items(), start=1):
            testing = _Testing(SCOPE_KEYS[scope], tuple(some), period, lists or {})
            for frame in _parts(transactions, testing, labelled, -(-rows // rows_at_once)):
                chunks = Chunks(frame, testing.key, rows_per_chunk, max(rule.longest_window_us for rule in some))
                for height, alerts in pool.map(lambda at, c=chunks, t=testing: t(c[at]), range(len(chunks))):
                    for rule, some_alerts in alerts:
                        found[rule].append(some_alerts)
                    done += height
                    on_progress(done, total)
            # Transactions without the scope's key were not evaluated, but are done.
            done = rows * number
            on_progress(done, total)
    return Backtest(
        {
            rule: pl.concat(found[rule]) if rule in found else no_alerts(rule, labelled=labelled)
            for some in by_scope.values()
            for rule in some
        },
        days,
    )


@dataclass(frozen=True, slots=True)
class _Testing:
    """The evaluation of one scope's rules, applied to each chunk of its transactions."""

    key: str
    rules: tuple[Rule, ...]
    period: Period
    lists: Mapping[str, frozenset[str]]

    def __call__(self, transactions: pl.DataFrame) -> tuple[int, list[tuple[Rule, pl.DataFrame]]]:
        # An alert of the period may be suppressed by one before it.
        asked = self.period.with_history(max(rule.suppression_reach_us for rule in self.rules))
        rows = transactions.select(asked.holds(pl.col("event_time")).arg_true().cast(pl.Int64)).to_series().to_numpy()
        if uses_profiles(self.rules):
            transactions = with_profiles(transactions, profiles_of(transactions))
        hits = evaluate(transactions, rows, self.rules, self.lists)
        return transactions.height, [
            (found.rule, alerts)
            for found in hits
            if (alerts := alerts_of(transactions, found, self.key, self.period)).height
        ]


def _parts(transactions: pl.LazyFrame, testing: _Testing, labelled: bool, number: int) -> Iterator[pl.DataFrame]:
    """The transactions that a scope's rules need, in parts of whole keys."""
    names = {
        "transaction_id",
        "event_time",
        *fields_read(testing.rules),
        *([IS_FRAUD] if labelled else []),
    }
    asked = testing.period.with_history(history_us(testing.rules))
    wanted = transactions.filter(pl.col(testing.key).is_not_null() & asked.holds(pl.col("event_time"))).select(
        sorted(names)
    )
    if number <= 1:
        yield wanted.collect().rechunk()
        return
    for part in range(number):
        yield wanted.filter(pl.col(testing.key).hash() % number == part).collect(engine="streaming").rechunk()


def _days(transactions: pl.LazyFrame, period: Period) -> pl.DataFrame:
    labelled = IS_FRAUD in transactions.collect_schema()
    return (
        transactions.filter(period.holds(pl.col("event_time")))
        .group_by((pl.col("event_time") // MICROSECONDS_PER_DAY).alias("day"))
        .agg(transactions=pl.len(), **({"fraud": pl.col(IS_FRAUD).sum()} if labelled else {}))
        .sort("day")
        .collect(engine="streaming")
    )
