"""The set of alerts is a function of the set of transactions, in any order and division into micro-batches.

Random transactions, in a random order within the lateness bound, cut into random micro-batches, some of them sent
twice, some micro-batches done twice as after a crash: what stands in the end is what the oracle computes from the set
alone. The state is kept as the detector keeps it (groups of twice the horizon that overlap by half, given up by the
watermark), here in plain Python, so that some thousand micro-batches a minute can be tried; the end-to-end tests do the
same with Spark.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from cardwatch_card_numbers.rotation import TokenRotation
from cardwatch_contracts.identity import alert_id
from cardwatch_detector.velocity.token_views import views_of
from cardwatch_oracle import expected_alerts
from cardwatch_rules.fields import SCOPE_KEYS, polars_schema
from cardwatch_rules.needs import reach_us
from cardwatch_rules.parse import load_rules
from cardwatch_rules.transitions import RETRACTED, transitions
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
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


class Detector:
    """The state of the velocity query, and the alerts that a receiver knows."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, int], list[tuple[Event, int]]] = defaultdict(list)
        self.standing: Standing = {}
        self.batches = 0
        self.newest = 0

    def batch(self, events: Sequence[Event], *, twice: bool) -> None:
        watermark = self.newest - LATENESS
        for key in [key for key in self.groups if key[2] <= watermark]:
            del self.groups[key]
        touched: dict[str, dict[tuple[str, int], None]] = {scope: {} for scope in SCOPE_KEYS}
        for event in events:
            for scope, field in SCOPE_KEYS.items():
                if event[field] is None:
                    continue
                horizon = HORIZONS[scope]
                half = event["event_time"] - event["event_time"] % horizon
                for until in (half + horizon, half + 2 * horizon):
                    assert until > watermark, "within the bound, no group is given up too early"
                    self.groups[scope, event[field], until].append((event, self.batches))
                    touched[scope][event[field], until] = None
        for _ in range(2 if twice else 1):
            for scope, keys in touched.items():
                self._evaluate(scope, list(keys))
        self.batches += 1
        self.newest = max(self.newest, *(event["event_time"] for event in events))

    def _evaluate(self, scope: str, keys: list[tuple[str, int]]) -> None:
        rules = [rule for rule in RULES if rule.scope == scope]
        reach = max(reach_us(rule) for rule in rules)
        rows = []
        for number, (key, until) in enumerate(keys):
            held = self.groups[scope, key, until]
            evaluate_from = until - HORIZONS[scope]
            new_from = min(event["event_time"] for event, batch in held if batch == self.batches)
            if max(event["event_time"] for event, _ in held) < max(evaluate_from, new_from):
                continue
            rows += [
                {**event, "group": number, "evaluate_from": evaluate_from, "is_new": batch == self.batches}
                for event, batch in held
                if event["event_time"] > new_from - reach
            ]
        if not rows:
            return
        random.Random(len(rows)).shuffle(rows)
        for change in transitions(pl.DataFrame(rows, schema=SCHEMA), rules, LISTS):
            self._take(change)

    def _take(self, change: Any) -> None:
        rule = change.hits.rule
        ids = change.transactions[change.hits.rows]["transaction_id"].to_list()
        for transaction_id, on in zip(ids, change.counted_on or [None] * len(ids), strict=True):
            this = alert_id(rule.rule_id, rule.version, transaction_id)
            if change.status == RETRACTED:
                self.standing.pop(this, None)
            else:
                self.standing[this] = (change.status, on and alert_id(rule.rule_id, rule.version, on))


SCHEMA: Mapping[str, Any] = {
    **polars_schema(),
    **dict.fromkeys(("group", "event_time", "raw_broker_time", "evaluate_from"), pl.Int64),
    "is_new": pl.Boolean,
}

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


def by_micro_batches(events: Sequence[Event], detectors: Sequence[Detector], views: Sequence[Any], seed: int) -> None:
    """Let detectors see the same micro-batches, each in its view."""
    chance = random.Random(seed)
    coming = arrivals(events, chance)
    while coming:
        size, twice = chance.choice([1, 2, 5, 20]), chance.random() < 0.2
        for detector, view in zip(detectors, views, strict=True):
            batch = coming[:size]
            detector.batch(batch if view is None else [view.record_in_view(event) for event in batch], twice=twice)
        coming = coming[size:]


def during_the_rotation(event: Event) -> Event:
    """A transaction as the enricher writes it."""
    card = event["card_token"]
    by_k1, by_k2 = ({"card_token": f"{card}-{key}", "card_token_key_id": key} for key in ("k1", "k2"))
    if card == CARD_WITH_ONE_TOKEN or event["event_time"] < BOTH_KEYS_FROM:
        return {**event, **by_k1, "other_card_token": None, "other_card_token_key_id": None}
    return ROTATION.in_order({**event, **by_k1, **{f"other_{name}": value for name, value in by_k2.items()}})


@random_examples(40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(TRANSACTION, min_size=1, max_size=60), st.integers(0, 2**32))
def test_a_rotation_of_token_keys_changes_no_alert(drawn: list[Event], seed: int) -> None:
    events = [transaction(number, fields) for number, fields in enumerate(drawn)]
    written = [during_the_rotation(event) for event in events]
    for event in written:
        wanted = (
            "k1" if event["card_token"].startswith(CARD_WITH_ONE_TOKEN) else ROTATION.key_id_at(event["event_time"])
        )
        assert event["card_token"].endswith(wanted)
    views = views_of(ROTATION)
    detectors = [Detector(), Detector()]
    by_micro_batches(written, detectors, views, seed)
    published: Standing = {}
    for view, detector in zip(views, detectors, strict=True):
        assert view is not None
        own = [event["transaction_id"] for event in events if view.publishes(event["event_time"])]
        ids = {alert_id(rule.rule_id, rule.version, one) for rule in RULES for one in own}
        published |= {alert: state for alert, state in detector.standing.items() if alert in ids}
    assert published == by_the_oracle(events)


@random_examples(40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(TRANSACTION, min_size=1, max_size=60), st.integers(0, 2**32))
def test_the_final_alerts_equal_the_oracles(drawn: list[Event], seed: int) -> None:
    events = [transaction(number, fields) for number, fields in enumerate(drawn)]
    detector = Detector()
    by_micro_batches(events, [detector], [None], seed)
    assert detector.standing == by_the_oracle(events)


def test_every_rule_raises_alerts() -> None:
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
    detector = Detector()
    detector.batch(sorted(events, key=lambda event: event["event_time"]), twice=False)
    ids = {alert_id(rule.rule_id, 1, event["transaction_id"]): rule.rule_id for rule in RULES for event in events}
    assert {ids[found] for found in detector.standing} == {rule.rule_id for rule in RULES}
    assert detector.standing == by_the_oracle(events)
