"""Which alerts a batch of arrivals raises and retracts.

The set of alerts is a function of the set of transactions. When transactions arrive, the alerts of the set with
them are compared with the alerts of the set without them: what appears is raised, what disappears is retracted. An
arrival can only change what lies at its own time or later, so only those transactions are evaluated; and only where
an older arrival already lies there (the arrival is late, or ties) is there anything to compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from cardwatch_rules.evaluate import Hits, evaluate
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.windows import Ints

RAISED: Final = "raised"
RETRACTED: Final = "retracted"


@dataclass(frozen=True, slots=True)
class Transitions:
    """The alerts of one rule that a batch raised or retracted.

    Attributes:
        status: RAISED or RETRACTED.
        transactions: the frame that ``hits`` point into: with the arrivals when raised, without when retracted.
        hits: the rule and its rows.
        cause_broker_time: for each of the hits, the broker time of the arrival that made the difference, microseconds:
            the transaction's own where it is new, else that of the earliest arrival of its group.
    """

    status: str
    transactions: pl.DataFrame
    hits: Hits
    cause_broker_time: Ints


def transitions(arrivals: pl.DataFrame, rules: Sequence[Rule]) -> list[Transitions]:
    """What the new ones among a scope's transactions raise and retract.

    Args:
        arrivals: a row an arrival, unsorted, duplicates included, with the columns ``group`` (int64, the keys from 0),
            ``event_time`` and ``raw_broker_time`` (int64, microseconds), ``transaction_id``, ``is_new`` (it came with
            this batch), ``evaluate_from`` (int64, microseconds: earlier ones are only history), and the fields that
            the rules use.
        rules: rules of this scope; paused ones are left out.
    """
    active = [rule for rule in rules if rule.mode is not Mode.PAUSED]
    if not active or arrivals.is_empty():
        return []
    after = deduplicate(arrivals)
    newest = (
        after.filter("is_new")
        .group_by("group")
        .agg(new_from=pl.col("event_time").min(), cause_broker_time=pl.col("raw_broker_time").min())
    )
    if newest.is_empty():
        return []
    # Groups without anything new are in the frame only by accident; they cost nothing but are not evaluated.
    after = _with_cause(after, newest)
    affected = (pl.col("event_time") >= pl.col("evaluate_from")) & (pl.col("event_time") >= pl.col("new_from"))
    disturbed = after.filter(affected & ~pl.col("is_new"))["group"].unique()

    hits_after = evaluate(after, _where(after, affected), active)
    if disturbed.is_empty():
        return [_transition(RAISED, after, hits) for hits in hits_after]

    before = deduplicate(arrivals.filter(~pl.col("is_new") & pl.col("group").is_in(disturbed.implode())))
    before = _with_cause(before, newest)
    hits_before = evaluate(before, _where(before, affected), active)
    ids_before = {hits.rule.rule_id: _identities(before, hits) for hits in hits_before}
    ids_after = {hits.rule.rule_id: _identities(after, hits) for hits in hits_after}
    changes = [
        *((RAISED, after, hits, ids_before.get(hits.rule.rule_id)) for hits in hits_after),
        *((RETRACTED, before, hits, ids_after.get(hits.rule.rule_id)) for hits in hits_before),
    ]
    return [
        _transition(status, frame, kept)
        for status, frame, hits, others in changes
        if len((kept := _without(frame, hits, others)).rows)
    ]


def deduplicate(arrivals: pl.DataFrame) -> pl.DataFrame:
    """One row a transaction, sorted by (group, event time).

    It is new only if all its arrivals are. Should arrivals of one ``transaction_id`` differ, which is a producer's
    defect, the one with the smallest event time, then content, stands, whatever order they came in.
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


def _with_cause(frame: pl.DataFrame, newest: pl.DataFrame) -> pl.DataFrame:
    return frame.join(newest, on="group", how="left", maintain_order="left").with_columns(
        cause_broker_time=pl.when("is_new").then("raw_broker_time").otherwise("cause_broker_time")
    )


def _where(frame: pl.DataFrame, condition: pl.Expr) -> Ints:
    return frame.select(condition.fill_null(value=False).arg_true()).to_series().to_numpy().astype(np.int64)


def _identities(frame: pl.DataFrame, hits: Hits) -> set[tuple[int, str]]:
    chosen = frame[hits.rows]
    return set(zip(chosen["group"].to_list(), chosen["transaction_id"].to_list(), strict=True))


def _without(frame: pl.DataFrame, hits: Hits, others: set[tuple[int, str]] | None) -> Hits:
    if not others:
        return hits
    chosen = frame[hits.rows]
    keep = np.array(
        [
            index
            for index, identity in enumerate(
                zip(chosen["group"].to_list(), chosen["transaction_id"].to_list(), strict=True)
            )
            if identity not in others
        ],
        dtype=np.int64,
    )
    bounds = type(hits.longest)(hits.longest.first[keep], hits.longest.after[keep])
    return Hits(hits.rule, hits.rows[keep], hits.measures[keep], bounds)


def _transition(status: str, frame: pl.DataFrame, hits: Hits) -> Transitions:
    return Transitions(status, frame, hits, frame["cause_broker_time"].to_numpy()[hits.rows].astype(np.int64))
