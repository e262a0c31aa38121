"""What a batch of arrivals changes about the alerts: which are raised, suppressed, retracted.

The set of alerts is a function of the set of transactions. When transactions arrive, the alerts of the set with
them are compared with the alerts of the set without them: what appears is raised (or suppressed), what disappears is
retracted. An arrival can only change what lies at its own time or later, so only those transactions are evaluated; and
only where an older arrival already lies there (the arrival is late, or ties) is there anything to compare with.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from cardwatch_rules.evaluate import Hits, Ledger, evaluate
from cardwatch_rules.fields import PROFILE_KINDS
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.needs import uses_profiles
from cardwatch_rules.profiles import ARRIVED, IS_PROFILE, no_profiles, with_profiles
from cardwatch_rules.program.polars_conditions import NO_LISTS, Lists
from cardwatch_rules.suppress import ALERTS, classify
from cardwatch_rules.windows import Ints

RAISED: Final = "raised"
SUPPRESSED: Final = "suppressed"
RETRACTED: Final = "retracted"


@dataclass(frozen=True, slots=True)
class Transitions:
    """The hits of one rule whose status a batch changed to the same thing.

    Attributes:
        status: RAISED, SUPPRESSED or RETRACTED.
        transactions: the frame that ``hits`` point into: without the arrivals when retracted, else with them.
        hits: the rule and its rows.
        cause_broker_time: for each of the hits, the broker time of the arrival that made the difference, microseconds:
            the transaction's own where it is new, else that of the earliest arrival of its group.
        counted_on: for each of the hits, the id of the transaction whose alert it is counted on; None otherwise.
    """

    status: str
    transactions: pl.DataFrame
    hits: Hits
    cause_broker_time: Ints
    counted_on: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The hits of one rule, and whether each raises an alert.

    Attributes:
        hits: the rule and its rows.
        counted_on: the row of the transaction whose alert each is counted on, −1 where it raises an alert.
    """

    hits: Hits
    counted_on: Ints


def transitions(
    arrivals: pl.DataFrame, rules: Sequence[Rule], lists: Lists = NO_LISTS, ledger: Ledger | None = None
) -> list[Transitions]:
    """The changes to a scope's alerts by the new transactions.

    Args:
        arrivals: one row per arrival, unsorted, duplicates included, with the columns ``group`` (int64, keys from 0),
            ``event_time`` and ``raw_broker_time`` (int64, microseconds), ``transaction_id``, ``is_new`` (it came with
            this batch), ``evaluate_from`` (int64, microseconds: earlier ones are only history), and the fields that
            the rules use. The rows may include profiles of cards (``profiles``), which have IS_PROFILE set.
        rules: rules of this scope; paused ones are left out.
        lists: what ``in list('name')`` looks into.
        ledger: takes the failures of rules; without a ledger they are raised.
    """
    active = [rule for rule in rules if rule.mode is not Mode.PAUSED]
    if not active or arrivals.is_empty():
        return []
    transactions, profiles = _split(arrivals)
    after = deduplicate(transactions)
    moments = ["group", "event_time", "raw_broker_time", "is_new"]
    newest = (
        pl.concat([after.select(moments), profiles.select(moments)])
        .filter("is_new")
        .group_by("group")
        .agg(new_from=pl.col("event_time").min(), cause_broker_time=pl.col("raw_broker_time").min())
    )
    if newest.is_empty():
        return []
    profiled = uses_profiles(active)

    def prepared(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        frame = _with_cause(frame, newest)
        return with_profiles(frame, known) if profiled else frame

    after = prepared(after, profiles)
    disturbed = after.filter(_AFFECTED & ~pl.col("is_new"))["group"].unique()

    def decided(frame: pl.DataFrame) -> list[Decided]:
        return decide(frame, _AFFECTED_FROM, active, lists, ledger)

    with_arrivals = decided(after)
    if disturbed.is_empty():
        return [change for found in with_arrivals for change in _appeared(after, found)]
    old = ~pl.col("is_new")
    before = deduplicate(transactions.filter(old & pl.col("group").is_in(disturbed.implode())))
    before = prepared(before, profiles.filter(old))
    return list(_differences(after, with_arrivals, before, decided(before)))


def _split(arrivals: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Transactions and profiles."""
    if IS_PROFILE not in arrivals.columns:
        return arrivals, arrivals.clear().with_columns(pl.lit(0).alias(ARRIVED), *no_profiles())
    own = [IS_PROFILE, ARRIVED, *PROFILE_KINDS]
    return arrivals.filter(~pl.col(IS_PROFILE)).drop(own), arrivals.filter(IS_PROFILE)


def decide(
    transactions: pl.DataFrame,
    evaluate_from: pl.Expr,
    rules: Sequence[Rule],
    lists: Lists = NO_LISTS,
    ledger: Ledger | None = None,
) -> list[Decided]:
    """The hits of rules in the transactions from some time on, and which of them are alerts.

    Args:
        transactions: as ``evaluate`` takes them.
        evaluate_from: the time from which a transaction's hits are wanted, microseconds; null: not at all.
        rules, lists, ledger: as for ``evaluate``.
    """
    wanted = _where(transactions, pl.col("event_time") >= evaluate_from)
    plain = [rule for rule in rules if rule.suppress_us is None]
    found = {hits.rule.rule_id: _all_alerts(hits) for hits in evaluate(transactions, wanted, plain, lists, ledger)}
    suppressing = [rule for rule in rules if rule.suppress_us is not None]
    if suppressing:
        # Earlier hits decide about later ones, so they are computed again; only the wanted hits are returned.
        reach = max(rule.suppression_reach_us for rule in suppressing)
        rows = _where(transactions, pl.col("event_time") >= evaluate_from - reach)
        keep = np.zeros(transactions.height, dtype=np.bool_)
        keep[wanted] = True
        for hits in evaluate(transactions, rows, suppressing, lists, ledger):
            decided = _suppressed(transactions, hits)
            at = np.flatnonzero(keep[hits.rows])
            if len(at):
                found[hits.rule.rule_id] = Decided(hits.take(at), decided[at])
    return [found[rule.rule_id] for rule in rules if rule.rule_id in found]


def deduplicate(arrivals: pl.DataFrame) -> pl.DataFrame:
    """One row per transaction, sorted by (group, event time).

    It is new only if all its arrivals are. If arrivals of one ``transaction_id`` differ, which is a producer's defect,
    the one with the smallest event time, then content, is taken, so that their order does not matter.
    """
    unique = arrivals
    if arrivals.select(pl.struct("group", "transaction_id").is_duplicated().any()).item():
        content = [name for name in arrivals.columns if name not in {"group", "transaction_id", "is_new"}]
        unique = (
            arrivals.with_columns(pl.col("is_new").all().over("group", "transaction_id"))
            .sort(["event_time", *(name for name in content if name != "event_time")], maintain_order=True)
            .unique(["group", "transaction_id"], keep="first", maintain_order=True)
        )
    return unique.sort("group", "event_time", "transaction_id")


# The first row that an arrival can change, per group; null in groups without an arrival.
_AFFECTED_FROM: Final = pl.when(pl.col("new_from").is_not_null()).then(pl.max_horizontal("evaluate_from", "new_from"))
_AFFECTED: Final = (pl.col("event_time") >= _AFFECTED_FROM).fill_null(value=False)

# A group's hits by (group, transaction id): the id of the transaction that each is counted on, None for an alert.
_Statuses = dict[tuple[int, str], str | None]


def _where(frame: pl.DataFrame, condition: pl.Expr) -> Ints:
    return frame.select(condition.fill_null(value=False).arg_true()).to_series().to_numpy().astype(np.int64)


def _all_alerts(hits: Hits) -> Decided:
    return Decided(hits, np.full(len(hits.rows), ALERTS, dtype=np.int64))


def _suppressed(frame: pl.DataFrame, hits: Hits) -> Ints:
    """For each hit the row of the transaction whose alert it is counted on, −1 where it raises one."""
    group = frame["group"].to_numpy()[hits.rows]
    event_time = frame["event_time"].to_numpy()[hits.rows]
    counted_on = classify(group, event_time, hits.rule.suppress_us or 1)
    return np.where(counted_on == ALERTS, ALERTS, hits.rows[counted_on])


def _differences(
    after: pl.DataFrame, with_arrivals: Sequence[Decided], before: pl.DataFrame, without: Sequence[Decided]
) -> Iterator[Transitions]:
    old = {found.hits.rule.rule_id: _statuses(before, found) for found in without}
    new = {found.hits.rule.rule_id: _statuses(after, found) for found in with_arrivals}
    nothing: _Statuses = {}
    for found in with_arrivals:
        earlier = old.get(found.hits.rule.rule_id, nothing)
        yield from _appeared(after, _except(after, found, earlier.items()))
    for found in without:
        later = new.get(found.hits.rule.rule_id, nothing)
        gone = _except(before, found, {one for one in old[found.hits.rule.rule_id].items() if one[0] in later})
        if len(gone.hits.rows):
            yield _transition(RETRACTED, before, gone.hits)


def _appeared(frame: pl.DataFrame, found: Decided) -> Iterator[Transitions]:
    alerts = found.counted_on == ALERTS
    if alerts.all():
        if len(alerts):
            yield _transition(RAISED, frame, found.hits)
        return
    if alerts.any():
        yield _transition(RAISED, frame, found.hits.take(np.flatnonzero(alerts)))
    others = np.flatnonzero(~alerts)
    yield _transition(
        SUPPRESSED,
        frame,
        found.hits.take(others),
        frame["transaction_id"].gather(found.counted_on[others]).to_list(),
    )


def _statuses(frame: pl.DataFrame, found: Decided) -> _Statuses:
    return dict(zip(*_identities(frame, found), strict=True))


def _except(frame: pl.DataFrame, found: Decided, known: Set[tuple[tuple[int, str], str | None]]) -> Decided:
    """The hits that are not known with the same status."""
    keep = [at for at, one in enumerate(zip(*_identities(frame, found), strict=True)) if one not in known]
    if len(keep) == len(found.hits.rows):
        return found
    at = np.array(keep, dtype=np.int64)
    return Decided(found.hits.take(at), found.counted_on[at])


def _identities(frame: pl.DataFrame, found: Decided) -> tuple[list[tuple[int, str]], list[str | None]]:
    ids, rows = frame["transaction_id"], found.hits.rows
    hits = list(zip(frame["group"].gather(rows).to_list(), ids.gather(rows).to_list(), strict=True))
    on = pl.Series(found.counted_on, dtype=pl.Int64)
    return hits, ids.gather(on.set(on == ALERTS, None).cast(pl.UInt32)).to_list()


def _with_cause(frame: pl.DataFrame, newest: pl.DataFrame) -> pl.DataFrame:
    # Groups without a new row may be in the frame; they are not evaluated.
    return frame.join(newest, on="group", how="left", maintain_order="left").with_columns(
        cause_broker_time=pl.when("is_new").then("raw_broker_time").otherwise("cause_broker_time")
    )


def _transition(status: str, frame: pl.DataFrame, hits: Hits, counted_on: Sequence[str] | None = None) -> Transitions:
    cause = frame["cause_broker_time"].to_numpy()[hits.rows].astype(np.int64)
    return Transitions(status, frame, hits, cause, counted_on)
