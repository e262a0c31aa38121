"""The set of alerts is a function of the set of transactions, in any order, any batches and with repetitions."""

import random
from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.model import Rule
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.transitions import RAISED, RETRACTED, SUPPRESSED, transitions
from hypothesis import given
from hypothesis import strategies as st
from support.random_examples import random_examples

RULES = parse_rules("""
rules:
  - id: three
    title: monotone, a count
    scope: card
    measures: {n: {window: 10s, is: count(*)}}
    when: n >= 3
  - id: low-mean
    title: not monotone, a late payment can disprove it
    scope: card
    measures:
      mean: {window: 20s, is: mean(base_amount_minor)}
      n: {window: 20s, is: count(*)}
    when: mean < 40 and n >= 2
  - id: countries
    title: distinct, with a condition
    scope: card
    measures: {c: {window: 15s, is: count(distinct country), where: channel = 'pos'}}
    when: c >= 2
  - id: range
    title: smallest and largest
    scope: card
    measures:
      low: {window: 7s, is: min(base_amount_minor), where: status = 'approved'}
      high: {window: 7s, is: max(base_amount_minor), where: status = 'approved'}
    when: high - low > 60
  - id: hop
    title: what came before, suppressed
    scope: card
    measures: {before: {window: 12s, is: previous(country)}}
    when: country <> before
    suppress: 3s
  - id: paused
    title: never
    scope: card
    mode: paused
    measures: {n: {window: 10s, is: count(*)}}
    when: n >= 1
""")

SECOND = 1_000_000
Event = dict[str, Any]


def event(number: int, at: float, **fields: Any) -> Event:
    return {
        "transaction_id": f"t{number}",
        "card_token": "a",
        "event_time": int(at * SECOND),
        "base_amount_minor": 50,
        "country": "DE",
        "channel": "pos",
        "status": "approved",
    } | fields


def frame(arrivals: Iterable[tuple[Event, bool]]) -> pl.DataFrame:
    rows = [
        {**arrival, "raw_broker_time": arrival["event_time"], "is_new": new, "evaluate_from": -(2**60)}
        for arrival, new in arrivals
    ]
    names = sorted({row["card_token"] for row in rows})
    kinds = {name: kind for name, kind in polars_schema().items() if rows and name in rows[0]}
    kinds |= {name: pl.Int64() for name in ("event_time", "raw_broker_time", "evaluate_from")}
    return pl.DataFrame(rows, schema=kinds | {"is_new": pl.Boolean()}).with_columns(
        group=pl.col("card_token").replace_strict({name: at for at, name in enumerate(names)}, return_dtype=pl.Int64)
    )


class BatchedEvaluation:
    """Feeds batches as the detector does, and keeps the alerts as a receiver would."""

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        self.rules = rules
        self.seen: list[Event] = []
        # (rule, transaction) → the transaction whose alert it is counted on, None for an alert.
        self.alerts: dict[tuple[str, str], str | None] = {}

    def batch(self, *events: Event) -> list[tuple[str, str, str]]:
        arrivals = frame([*((e, False) for e in self.seen), *((e, True) for e in events)])
        said = []
        for change in transitions(arrivals, self.rules):
            ids = change.transactions[change.hits.rows]["transaction_id"].to_list()
            counted_on = change.counted_on or [None] * len(ids)
            for transaction_id, on in zip(ids, counted_on, strict=True):
                alert = (change.hits.rule.rule_id, transaction_id)
                said.append((change.status, *alert))
                if change.status == RETRACTED:
                    del self.alerts[alert]
                else:
                    assert self.alerts.get(alert, "nothing") != on, "said twice"
                    self.alerts[alert] = on
        self.seen.extend(events)
        return said


def by_definition(events: Iterable[Event]) -> dict[tuple[str, str], str | None]:
    """The rules in plain Python."""
    unique = {e["transaction_id"]: e for e in events}.values()
    alerts: dict[tuple[str, str], str | None] = {}
    hops: dict[str, list[Event]] = {}
    for e in sorted(unique, key=lambda e: (e["event_time"], e["transaction_id"])):

        def window(seconds: int, e: Event = e) -> list[Event]:
            return [
                x
                for x in unique
                if x["card_token"] == e["card_token"]
                and e["event_time"] - seconds * SECOND < x["event_time"] <= e["event_time"]
            ]

        if len(window(10)) >= 3:
            alerts["three", e["transaction_id"]] = None
        amounts = [x["base_amount_minor"] for x in window(20)]
        if sum(amounts) / len(amounts) < 40 and len(amounts) >= 2:
            alerts["low-mean", e["transaction_id"]] = None
        if len({x["country"] for x in window(15) if x["channel"] == "pos"}) >= 2:
            alerts["countries", e["transaction_id"]] = None
        approved = [x["base_amount_minor"] for x in window(7) if x["status"] == "approved"]
        if approved and max(approved) - min(approved) > 60:
            alerts["range", e["transaction_id"]] = None
        order = (e["event_time"], e["transaction_id"])
        before = [x for x in window(12) if (x["event_time"], x["transaction_id"]) < order]
        if before and max(before, key=lambda x: (x["event_time"], x["transaction_id"]))["country"] != e["country"]:
            hops.setdefault(e["card_token"], []).append(e)
    for hits in hops.values():
        alerts |= {("hop", e["transaction_id"]): on for e, on in suppressed(hits, 3 * SECOND)}
    return alerts


def suppressed(hits: list[Event], length: int) -> Iterable[tuple[Event, str | None]]:
    """docs/rules.md: which hits of a key open or repeat, and on which alert the others are counted."""
    opened, alert, slots = 0, "", set[int]()
    for at, hit in enumerate(hits):
        time = hit["event_time"]
        slot, within = divmod(time, 2 * length)
        opens = not at or time - hits[at - 1]["event_time"] >= length
        if opens:
            opened = time
        if opens or (within < length and time - opened >= length and slot not in slots):
            if not opens:
                slots.add(slot)
            alert = hit["transaction_id"]
            yield hit, None
        else:
            yield hit, alert


def test_in_order() -> None:
    evaluation = BatchedEvaluation()
    assert evaluation.batch(event(1, 0), event(2, 1)) == []
    assert evaluation.batch(event(3, 2)) == [(RAISED, "three", "t3")]
    assert evaluation.batch(event(4, 11)) == []  # (1, 11] holds t3 and t4 only


def test_a_late_transaction_raises_the_missing_alert() -> None:
    evaluation = BatchedEvaluation()
    evaluation.batch(event(1, 0), event(3, 2))
    assert evaluation.batch(event(2, 1)) == [(RAISED, "three", "t3")]


def test_a_late_transaction_retracts_a_disproved_alert() -> None:
    evaluation = BatchedEvaluation()
    assert evaluation.batch(event(1, 5, base_amount_minor=30), event(2, 6, base_amount_minor=40)) == [
        (RAISED, "low-mean", "t2")
    ]
    assert evaluation.batch(event(3, 4, base_amount_minor=90)) == [
        (RAISED, "three", "t2"),
        (RETRACTED, "low-mean", "t2"),
    ]
    assert evaluation.alerts == by_definition(evaluation.seen)


def test_a_late_transaction_raises_an_alert_that_suppresses_a_later_one() -> None:
    evaluation = BatchedEvaluation()
    evaluation.batch(event(1, 1, channel="ecom"))
    assert evaluation.batch(event(3, 3, channel="ecom", country="FR")) == [(RAISED, "hop", "t3")]
    assert evaluation.batch(event(2, 2, channel="ecom", country="US")) == [
        (RAISED, "three", "t3"),
        (RAISED, "hop", "t2"),
        (SUPPRESSED, "hop", "t3"),
    ]
    assert evaluation.alerts["hop", "t3"] == "t2"


def test_a_duplicate_changes_nothing() -> None:
    evaluation = BatchedEvaluation()
    evaluation.batch(event(1, 0), event(2, 1))
    assert evaluation.batch(event(2, 1), event(1, 0)) == []
    assert evaluation.batch(event(3, 2), event(3, 2)) == [(RAISED, "three", "t3")]
    assert evaluation.batch(event(3, 2)) == []


def test_a_tie_counts_for_the_one_that_came_first() -> None:
    evaluation = BatchedEvaluation()
    evaluation.batch(event(1, 0), event(2, 1))
    assert sorted(evaluation.batch(event(3, 1))) == [(RAISED, "three", "t2"), (RAISED, "three", "t3")]


def test_history_alone_is_not_evaluated() -> None:
    arrivals = frame([(event(n, n), True) for n in range(4)]).with_columns(evaluate_from=pl.lit(3 * SECOND))
    (change,) = transitions(arrivals, RULES[:1])
    assert change.transactions[change.hits.rows]["transaction_id"].to_list() == ["t3"]


def test_a_batch_without_new_transactions_has_no_transitions() -> None:
    assert transitions(frame([(event(n, n), False) for n in range(5)]), RULES) == []
    assert transitions(frame([(event(1, 1), True)]).clear(), RULES) == []


def test_a_paused_rule_is_silent() -> None:
    evaluation = BatchedEvaluation(RULES[5:])
    assert evaluation.batch(event(1, 0), event(2, 0), event(3, 0)) == []


EVENT = st.tuples(
    st.integers(0, 40) | st.integers(0, 80).map(lambda half: half / 2),  # second
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 120),
    st.sampled_from(["DE", "FR", "US"]),
    st.sampled_from(["pos", "ecom"]),
    st.sampled_from(["approved", "declined"]),
)


@random_examples(150, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=30), st.integers(0, 2**32), st.integers(1, 8))
def test_any_order_any_cuts_any_duplicates(rows: list[Any], seed: int, cuts: int) -> None:
    events = [
        event(
            number, second, card_token=card, base_amount_minor=amount, country=country, channel=channel, status=status
        )
        for number, (second, card, amount, country, channel, status) in enumerate(rows)
    ]
    chance = random.Random(seed)
    arrivals = [*events, *chance.choices(events, k=len(events) // 4)]
    chance.shuffle(arrivals)
    borders = sorted(chance.choices(range(len(arrivals) + 1), k=cuts))
    evaluation = BatchedEvaluation()
    for begin, end in zip([0, *borders], [*borders, len(arrivals)], strict=True):
        if begin < end:
            evaluation.batch(*arrivals[begin:end])
    assert evaluation.alerts == by_definition(events)


@pytest.mark.parametrize("order", [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]])
def test_the_same_alerts_in_any_order(order: list[int]) -> None:
    evaluation = BatchedEvaluation()
    for number in order:
        evaluation.batch(event(number, number, base_amount_minor=30))
    assert evaluation.alerts == by_definition(evaluation.seen) != {}
