"""The set of alerts is a function of the set of transactions, in any order and division into micro-batches.

Random transactions, in a random order within the lateness bound, cut into random micro-batches, some of them sent
twice, some micro-batches done twice as after a crash: what stands in the end is what the oracle computes from the set
alone. The operator has its state in memory here, so that some thousand micro-batches a minute can be tried; the
end-to-end tests do the same with Spark.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cardwatch_card_numbers.rotation import TokenRotation
from cardwatch_contracts.identity import alert_id
from cardwatch_detector.velocity.token_views import views_of
from cardwatch_oracle import expected_alerts
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.parse import load_rules
from cardwatch_rules.statuses import RETRACTED
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.equivalence.histories import Arrived, History, Transaction
from support.equivalence.operator import Operator, running_operator
from support.equivalence.rule_sets import RuleSet
from support.equivalence.suites import Suite
from support.random_examples import random_examples

RULES_FILE = Path(__file__).with_name("rules.yaml")
MINUTE = 60_000_000
START = 1_795_478_400_000_000
LATENESS = 20 * MINUTE
HORIZONS = {"card": 100 * MINUTE, "merchant": 45 * MINUTE, "device": 45 * MINUTE, "ip": 60 * MINUTE, "bin": 30 * MINUTE}
RULES = load_rules(RULES_FILE, HORIZONS)
LISTS = {"trusted": frozenset({"m1"})}

# From the longest horizon before the switch on, the enricher writes the tokens of both keys.
ROTATION = TokenRotation("k1", "k2", switch_us=START + 140 * MINUTE)
BOTH_KEYS_FROM = ROTATION.switch_us - max(HORIZONS.values())
# The producer of this card tokenises by itself and sends one token.
CARD_WITH_ONE_TOKEN = "c"

Event = dict[str, Any]
Standing = dict[str, tuple[str, str | None]]  # alert id → status, alert it is counted on


SCHEMA = {**polars_schema(), "event_time": pl.Int64(), "raw_broker_time": pl.Int64()}


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    """The operator as a process."""
    with running_operator() as running:
        yield running


TRANSACTION = st.fixed_dictionaries(
    {
        "event_time": st.integers(0, 180 * 4).map(lambda quarter: START + quarter * MINUTE // 4),
        "card_token": st.sampled_from(["a", "b", "c"]),
        "card_bin": st.sampled_from(["400000", "510000"]),
        "merchant_id": st.sampled_from(["m1", "m2"]),
        "country": st.sampled_from(["DE", "FR", "US"]),
        "channel": st.sampled_from(["pos", "ecom"]),
        "status": st.sampled_from(["approved", "declined"]),
        "base_amount_minor": st.integers(0, 12_000),
        "device_id": st.sampled_from([None, "d1", "d2"]),
        "ip_address": st.sampled_from([None, "192.0.2.1"]),
        "place": st.sampled_from([(None, None), (52.5, 13.4), (48.1, 11.6), (40.7, -74.0)]),
    }
)


def transaction(number: int, drawn: Event) -> Event:
    fields = {name: value for name, value in drawn.items() if name != "place"}
    return {
        "transaction_id": f"t{number:03}",
        "merchant_category_code": "5999",
        "merchant_category_group": "other",
        "bin_country": "DE",
        "transaction_type": "purchase",
        "currency": "EUR",
        "amount_minor": drawn["base_amount_minor"],
        "latitude": drawn["place"][0],
        "longitude": drawn["place"][1],
        "hour_of_day": 12,
        "day_of_week": 1,
        "raw_broker_time": drawn["event_time"],
        **fields,
    }


def arrivals(events: Sequence[Event], chance: random.Random) -> list[Event]:
    """Each transaction at some time within the lateness bound after its event time, some of them twice."""
    coming = [(event["event_time"] + chance.randrange(LATENESS), event) for event in events]
    coming += [(event["event_time"] + chance.randrange(LATENESS), event) for event in chance.choices(events, k=4)]
    return [event for _, event in sorted(coming, key=lambda pair: pair[0])]


def by_the_oracle(events: Sequence[Event]) -> Standing:
    table = pl.DataFrame(list(events), schema={name: SCHEMA[name] for name in events[0]}).to_arrow()
    found = expected_alerts(table, RULES_FILE, None, lists=LISTS)
    return {row["alert_id"]: (row["status"], row["suppressed_by"]) for row in found.to_pylist()}


def micro_batches(events: Sequence[Event], seed: int) -> list[Arrived]:
    """Transactions as they come, none of them too late."""
    chance = random.Random(seed)
    coming = arrivals(events, chance)
    batches: list[Arrived] = []
    newest = 0
    while coming:
        batch, coming = coming[: (size := chance.choice([1, 2, 5, 20]))], coming[size:]
        numbered: list[Transaction] = [{**event, "offset": at} for at, event in enumerate(batch)]
        watermark = max(newest - LATENESS, 0)
        batches.append(Arrived(watermark, numbered, repeated=chance.random() < 0.2))
        assert batches[-1].in_time() == numbered
        newest = max(newest, *(event["event_time"] for event in batch))
    return batches


def seen_as(batches: Sequence[Arrived], view: Callable[[Event], Transaction]) -> History:
    """The micro-batches with each transaction in a view."""
    return [replace(one, transactions=[view(dict(event)) for event in one.transactions]) for one in batches]


def standing(operator: Operator, histories: Sequence[History]) -> list[Standing]:
    """What stands after the last micro-batch of each history."""
    suite = Suite(histories, [RuleSet(tuple(RULES), LISTS)], [0] * len(histories[0]), HORIZONS)
    found = []
    for batches in operator.results(suite):
        stands: Standing = {}
        for batch in batches:
            assert batch["late"] == []
            for alert in batch["alerts"]:
                if alert["status"] == RETRACTED:
                    del stands[alert["alert_id"]]
                else:
                    stands[alert["alert_id"]] = (alert["status"], alert["suppressed_by"])
        found.append(stands)
    return found


def during_the_rotation(event: Event) -> Event:
    """A transaction as the enricher writes it."""
    card = event["card_token"]
    by_k1, by_k2 = ({"card_token": f"{card}-{key}", "card_token_key_id": key} for key in ("k1", "k2"))
    if card == CARD_WITH_ONE_TOKEN or event["event_time"] < BOTH_KEYS_FROM:
        return {**event, **by_k1, "other_card_token": None, "other_card_token_key_id": None}
    return ROTATION.in_order({**event, **by_k1, **{f"other_{name}": value for name, value in by_k2.items()}})


@random_examples(40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(TRANSACTION, min_size=1, max_size=60), st.integers(0, 2**32))
def test_a_rotation_of_token_keys_changes_no_alert(operator: Operator, drawn: list[Event], seed: int) -> None:
    events = [transaction(number, fields) for number, fields in enumerate(drawn)]
    written = [during_the_rotation(event) for event in events]
    for event in written:
        wanted = (
            "k1" if event["card_token"].startswith(CARD_WITH_ONE_TOKEN) else ROTATION.key_id_at(event["event_time"])
        )
        assert event["card_token"].endswith(wanted)
    views = [view for view in views_of(ROTATION) if view is not None]
    assert len(views) == 2
    batches = micro_batches(written, seed)
    by_view = standing(operator, [seen_as(batches, view.record_in_view) for view in views])
    published: Standing = {}
    for view, stands in zip(views, by_view, strict=True):
        own = [event["transaction_id"] for event in events if view.publishes(event["event_time"])]
        ids = {alert_id(rule.rule_id, rule.version, one) for rule in RULES for one in own}
        published |= {alert: state for alert, state in stands.items() if alert in ids}
    assert published == by_the_oracle(events)


@random_examples(40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(TRANSACTION, min_size=1, max_size=60), st.integers(0, 2**32))
def test_the_final_alerts_equal_the_oracles(operator: Operator, drawn: list[Event], seed: int) -> None:
    events = [transaction(number, fields) for number, fields in enumerate(drawn)]
    assert standing(operator, [micro_batches(events, seed)]) == [by_the_oracle(events)]


def test_every_rule_raises_alerts(operator: Operator) -> None:
    chance = random.Random(7)
    events = [
        transaction(
            number,
            {
                "event_time": START + chance.randrange(180) * MINUTE,
                "card_token": chance.choice("abc"),
                "card_bin": "400000",
                "merchant_id": chance.choice(["m1", "m2"]),
                "country": chance.choice(["DE", "FR"]),
                "channel": chance.choice(["pos", "ecom"]),
                "status": chance.choice(["approved", "declined"]),
                "base_amount_minor": chance.randrange(12_000),
                "device_id": "d1",
                "ip_address": "192.0.2.1",
                "place": chance.choice([(52.5, 13.4), (40.7, -74.0)]),
            },
        )
        for number in range(300)
    ]
    (stands,) = standing(operator, [micro_batches(events, 7)])
    ids = {alert_id(rule.rule_id, 1, event["transaction_id"]): rule.rule_id for rule in RULES for event in events}
    assert {ids[found] for found in stands} == {rule.rule_id for rule in RULES}
    assert stands == by_the_oracle(events)
