from dataclasses import replace

from cardwatch_cli.demo.results import (
    AlertEvent,
    Delivery,
    Label,
    alert_set,
    by_rule,
    deliveries,
    latencies_ms,
    percentile,
    precision,
    recall,
)


def event(alert_id: str, status: str = "raised", mode: str = "live", transaction_id: str = "") -> AlertEvent:
    return AlertEvent(alert_id, status, mode, "burst", transaction_id or f"t-{alert_id}", 1_000_000, {})


def told(alert_id: str, webhook_id: str = "", status: str = "raised", received_us: int = 1_250_000) -> Delivery:
    return Delivery(webhook_id or alert_id, alert_id, status, received_us)


def fraud(transaction_id: str, episode: str | None) -> Label:
    return Label(transaction_id, True, episode, None)


def test_repeated_events_change_nothing() -> None:
    once = alert_set([event("a"), event("b"), event("b", "retracted")])
    twice = alert_set([event("a"), event("b"), event("a"), event("b", "retracted"), event("b", "retracted")])
    assert once == twice
    assert once.standing == {"a"}
    assert set(once.raised) == {"a", "b"}


def test_an_alert_raised_again_after_its_retraction_stands() -> None:
    alerts = alert_set([event("a"), event("a", "retracted"), event("a")])
    assert alerts.standing == {"a"}
    assert alerts.raisings == {"a": 2}


def test_the_last_event_says_whether_an_alert_is_suppressed() -> None:
    suppressed = [
        replace(event(name, "suppressed"), suppressed_by=by) for name, by in (("a", "x"), ("b", "y"), ("c", "x"))
    ]
    alerts = alert_set([suppressed[0], event("a"), event("b"), *suppressed[1:], event("c", "retracted")])
    assert alerts.standing == {"a"}
    assert alerts.suppressed == {"b": "y"}
    assert alerts.to_deliver == {"a", "b"}


def test_only_standing_alerts_count_by_rule() -> None:
    assert by_rule(alert_set([event("a"), event("b"), event("b", "retracted")])) == {"burst": 1}


def test_a_retry_has_the_same_id_and_is_not_a_second_delivery() -> None:
    result = deliveries(alert_set([event("a")]), [told("a"), told("a")])
    assert result.exactly_once
    assert (result.delivered, result.repeated) == (1, 1)


def test_an_alert_delivered_under_two_ids_counts_twice() -> None:
    result = deliveries(alert_set([event("a")]), [told("a"), told("a", "a-2")])
    assert not result.exactly_once
    assert result.several_ids == {"a"}


def test_an_alert_raised_twice_may_be_delivered_twice() -> None:
    alerts = alert_set([event("a"), event("a", "retracted"), event("a")])
    assert deliveries(alerts, [told("a"), told("a", "a-2", "retracted"), told("a", "a-3")]).exactly_once


def test_an_alert_that_was_not_delivered_is_missing() -> None:
    result = deliveries(alert_set([event("a"), event("b")]), [told("a")])
    assert result.missing == {"b"}
    assert not result.exactly_once


def test_an_alert_that_nobody_raised_is_unexpected() -> None:
    assert deliveries(alert_set([event("a")]), [told("a"), told("x")]).unexpected == {"x"}


def test_alerts_of_shadow_rules_are_not_to_be_delivered() -> None:
    shadow = alert_set([event("a", mode="shadow")])
    assert deliveries(shadow, []).exactly_once
    assert deliveries(shadow, [told("a")]).unexpected == {"a"}


def test_latency_counts_to_the_first_arrival() -> None:
    received = [told("a", received_us=1_900_000), told("a", received_us=1_250_000)]
    assert latencies_ms(alert_set([event("a")]), received) == [250.0]


def test_percentiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 99) is None


def test_precision_is_the_share_of_standing_alerts_on_fraud() -> None:
    alerts = alert_set([event("a"), event("b"), event("c"), event("c", "retracted")])
    assert precision(alerts, {"t-a"}) == 0.5
    assert precision(alert_set([]), {"t-a"}) is None


def test_recall_counts_episodes_and_not_transactions() -> None:
    labels = [
        fraud("t-a", "burst#1"),
        fraud("t-b", "burst#1"),
        fraud("t-c", "burst#2"),
        Label("t-d", False, None, None),
    ]
    assert recall(alert_set([event("a")]), labels) == 0.5
    assert recall(alert_set([event("a")]), []) is None


def test_fraud_without_a_numbered_episode_is_one_of_its_own() -> None:
    assert recall(alert_set([event("a")]), [fraud("t-a", "2"), fraud("t-b", "2")]) == 0.5
