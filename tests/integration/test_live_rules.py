"""Rules that change while the detector runs: each change takes effect at once, over the whole past window."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cardwatch_rulebook import planning
from cardwatch_rulebook.connect import Stores, open_stores
from cardwatch_rulebook.definitions import read_definitions
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings

pytestmark = [pytest.mark.integration, pytest.mark.faults]

THREE = """
- id: three
  title: Three payments within an hour
  scope: card
  measures: {payments: {window: 1h, is: count(*)}}
  when: payments >= 3
"""
MERCHANT = """
- id: merchant-hour
  title: Four payments at a merchant within an hour
  scope: merchant
  measures: {payments: {window: 1h, is: count(*)}, last_but_one: {window: 1h, is: previous(country)}}
  when: payments >= 4
"""
TOO_LONG = """
- id: too-long
  title: Longer than what the state keeps
  scope: card
  measures: {payments: {window: 7d, is: count(*)}}
  when: payments >= 3
"""
DENIED = """
- {id: denied, title: A denied merchant, scope: card, when: merchant_id in list('denied-merchants'), mode: shadow}
"""
HABIT = """
- id: habit
  title: Five times the card's mean, in a country and at an hour that are new to it
  scope: card
  when: >
    base_amount_minor > 5 * profile.mean_amount_minor_30d and country not in profile.countries_90d
    and hour_of_day not in profile.hours_90d
"""
SHARED = """
- id: shared-device
  title: Two cards on one device
  scope: device
  measures: {cards: {window: 10m, is: count(distinct card_token)}, its: {window: 10m, is: first(device_id)}}
  when: cards >= 2
- id: shared-address
  title: Two cards from one address
  scope: ip
  measures: {cards: {window: 10m, is: count(distinct card_token)}, its: {window: 10m, is: first(device_id)}}
  when: cards >= 2
- id: bin-cards
  title: Five cards of one BIN
  scope: bin
  measures: {cards: {window: 10m, is: count(distinct card_token)}}
  when: cards >= 5
"""
ANALYST = Author("test")
ROWS = "cardwatch_spark_input_rows_total"


@pytest.fixture(scope="module")
def detector(start_shared_detector: Callable[..., Any]) -> Any:
    return start_shared_detector(
        CARDWATCH_DETECTOR_NAME="live", CARDWATCH_DETECTOR_SCOPES="card,merchant,device,ip,bin"
    )


@pytest.fixture(scope="module")
def stores(platform: Any, detector: Any) -> Iterator[Stores]:
    settings = ServiceSettings(
        kafka_bootstrap_servers=platform.bootstrap_servers,
        schema_registry_url=platform.registry_url,
        topic_prefix=detector.topics.prefix,
    )
    with open_stores(settings) as opened:
        yield opened


@pytest.mark.timeout(400)
def test_a_change_acts_at_once(detector: Any, stores: Stores) -> None:
    # No rule yet; the state keeps the transactions nevertheless.
    for number in (1, 2, 3):
        detector.pay(number, number, card="a", merchant="x")
    detector.wait_for(lambda: "metrics_port" in detector.log() and detector.metric(ROWS) == 3, "transactions")

    # A new rule evaluates its whole window.
    apply(stores, THREE)
    detector.wait_for(lambda: state(stores, "three") == "active", "state of the rule")
    took = seconds_until(detector, lambda: detector.pay(4, 4, card="a", merchant="x"), ("three", "t4", "raised"))
    assert took < 10, "usually a second; a micro-batch on a busy machine"
    assert [alert["evidence_count"] for alert in detector.alerts()] == [4]

    # A rule of another scope, with other fields and a longer history: the query goes on.
    apply(stores, MERCHANT)
    detector.wait_for(lambda: state(stores, "merchant-hour") == "active", "state of the other rule")
    seconds_until(detector, lambda: detector.pay(5, 5, card="b", merchant="x"), ("merchant-hour", "t5", "raised"))
    (found,) = [alert for alert in detector.alerts() if alert["rule_id"] == "merchant-hour"]
    texts = {measure["name"]: (measure["value"], measure["text"]) for measure in found["measures"]}
    assert texts == {"payments": (5, None), "last_but_one": (None, "DE")}
    assert detector.metric("cardwatch_spark_query_restarts_total") == 0, "nothing has failed"
    assert detector.log().count('"query started"') == 1

    # A broken rule is set aside and reported; the others are evaluated.
    apply(stores, TOO_LONG)
    detector.wait_for(lambda: state(stores, "too-long") == "set_aside", "state of the broken rule")
    assert "the horizon of the scope card is 30h" in stores.statuses.read()["too-long"]["live"].error
    seconds_until(detector, lambda: detector.pay(6, 6, card="a", merchant="y"), ("three", "t6", "raised"))

    # Another version is another alert; a paused rule is silent; a list is looked into as it is now.
    apply(stores, THREE.replace(">= 3", ">= 6"))
    stores.rules.carry_out([planning.pause("merchant-hour", ANALYST)])
    apply(stores, DENIED)
    stores.lists.append([ListEntry("denied-merchants", Kind.MERCHANT, "y", True, "", "test", time.time_ns() // 1000)])
    detector.wait_for(lambda: state(stores, "merchant-hour") == "paused", "pause")
    detector.wait_for(lambda: state(stores, "denied") == "active", "rule with a list")
    seconds_until(detector, lambda: detector.pay(7, 7, card="a", merchant="y"), ("three", "t7", "raised"))
    detector.wait_for(lambda: ("denied", "t7", "raised") in said(detector), "alert of a listed merchant")
    of_t7 = {alert["rule_id"]: alert for alert in detector.alerts() if alert["transaction_id"] == "t7"}
    assert (of_t7["three"]["rule_version"], of_t7["three"]["mode"]) == (2, "live")
    assert of_t7["denied"]["mode"] == "shadow"
    assert detector.metric("cardwatch_rules_set_aside_total") == 1

    # Scopes whose key a transaction may lack: most of those above have neither device nor address.
    apply(stores, SHARED)
    detector.wait_for(lambda: state(stores, "shared-address") == "active", "rules of other scopes")
    detector.pay(8, 8, card="c", merchant="z", device_id="d1", ip_address="192.0.2.1")
    detector.pay(9, 9, card="d", merchant="z", ip_address="192.0.2.1")
    detector.pay(10, 10, card="e", merchant="z", device_id="d1")
    shared = {("shared-address", "t9", "raised"), ("shared-device", "t10", "raised")}
    detector.wait_for(lambda: shared <= set(said(detector)), "alerts of device and address")
    of_others = [alert for alert in detector.alerts() if alert["rule_id"] in {"shared-device", "shared-address"}]
    assert {(alert["scope"], alert["key"]) for alert in of_others} == {("device", "d1"), ("ip", "192.0.2.1")}
    devices = {measure["text"] for alert in of_others for measure in alert["measures"] if measure["name"] == "its"}
    assert devices == {"d1"}, "the key of a group is a field of its transactions"
    assert ("bin-cards", "t10", "raised") in said(detector)


@pytest.mark.timeout(400)
def test_profiles_are_data_like_any_other(detector: Any, stores: Stores) -> None:
    apply(stores, HABIT)
    detector.wait_for(lambda: state(stores, "habit") == "active", "state of the rule")
    large = {"country": "FR", "hour_of_day": 3, "amount": 9000}

    # First the profile, then the transaction; then the other way round.
    detector.send_profile("f", mean=1000)
    detector.pay(21, 181, card="f", **large | {"amount": 4000})
    detector.pay(22, 182, card="f", **large | {"country": "DE"})
    detector.pay(23, 183, card="f", **large | {"hour_of_day": 9})
    seconds_until(detector, lambda: detector.pay(24, 184, card="f", **large), ("habit", "t24", "raised"))
    detector.pay(25, 185, card="g", **large)
    detector.wait_for(lambda: detector.metric(ROWS) >= detector.sent, "transactions")
    assert of_habit(detector) == [("habit", "t24", "raised")]
    seconds_until(detector, lambda: detector.send_profile("g", mean=1000), ("habit", "t25", "raised"))

    # A corrected profile corrects the earlier alerts.
    seconds_until(detector, lambda: detector.send_profile("g", mean=5000), ("habit", "t25", "retracted"))
    assert of_habit(detector) == [
        ("habit", "t24", "raised"),
        ("habit", "t25", "raised"),
        ("habit", "t25", "retracted"),
    ]


def apply(stores: Stores, text: str) -> None:
    plans = [planning.apply(definition, ANALYST) for definition in read_definitions(text, "test", {})]
    assert stores.rules.carry_out(plans)


def state(stores: Stores, rule_id: str) -> str:
    statuses = stores.statuses.read().get(rule_id, {})
    return statuses["live"].state.value if "live" in statuses else ""


def said(detector: Any) -> list[tuple[str, str, str]]:
    return [(alert["rule_id"], alert["transaction_id"], alert["status"]) for alert in detector.alerts()]


def of_habit(detector: Any) -> list[tuple[str, str, str]]:
    return sorted(event for event in said(detector) if event[0] == "habit")


def seconds_until(detector: Any, do: Callable[[], None], event: tuple[str, str, str]) -> float:
    begin = time.monotonic()
    do()
    detector.wait_for(lambda: event in said(detector), f"alert {event}")
    return time.monotonic() - begin
