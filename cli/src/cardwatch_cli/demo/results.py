"""The numbers of the report as pure functions of the recorded alert events, labels and deliveries."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

RAISED: Final = "raised"
SUPPRESSED: Final = "suppressed"
RETRACTED: Final = "retracted"
LIVE: Final = "live"

_EPISODE_SEPARATOR: Final = "#"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One event of ``alerts.v1``, as far as the report needs it. Times are microseconds since 1970-01-01 UTC."""

    alert_id: str
    status: str
    mode: str
    rule_id: str
    transaction_id: str
    raw_broker_time: int
    measures: Mapping[str, float | int | None]
    suppressed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """The simulator's label of a transaction. ``episode`` is ``scenario#number`` for injected fraud."""

    transaction_id: str
    is_fraud: bool
    episode: str | None
    expected_refusal: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that the webhook received and accepted."""

    webhook_id: str
    alert_id: str
    status: str
    received_us: int


@dataclass(frozen=True, slots=True)
class AlertSet:
    """The alerts after the last event: all that were ever raised, and those that still stand.

    Attributes:
        raised: alert id → the event that raised it first.
        raisings: alert id → how often it was raised: once, and again after each retraction.
        standing: ids of the alerts whose last status is raised.
        suppressed: id → the alert that it is counted on, for the alerts whose last status is suppressed.
        to_deliver: ids of raised alerts of live rules.
    """

    raised: Mapping[str, AlertEvent]
    raisings: Mapping[str, int]
    standing: frozenset[str]
    suppressed: Mapping[str, str | None]
    to_deliver: frozenset[str]


def alert_set(events: Iterable[AlertEvent]) -> AlertSet:
    """Fold events, which are in order within their key, into an ``AlertSet``. Repeated events change nothing."""
    raised: dict[str, AlertEvent] = {}
    last: dict[str, AlertEvent] = {}
    raisings: Counter[str] = Counter()
    for event in events:
        if event.status == RAISED:
            raised.setdefault(event.alert_id, event)
            before = last.get(event.alert_id)
            raisings[event.alert_id] += before is None or before.status != RAISED
        last[event.alert_id] = event
    return AlertSet(
        raised,
        raisings,
        frozenset(alert_id for alert_id, event in last.items() if event.status == RAISED),
        {alert_id: event.suppressed_by for alert_id, event in last.items() if event.status == SUPPRESSED},
        frozenset(alert_id for alert_id, event in raised.items() if event.mode == LIVE),
    )


def by_rule(alerts: AlertSet) -> dict[str, int]:
    """The number of standing alerts per rule id."""
    return dict(sorted(Counter(alerts.raised[alert_id].rule_id for alert_id in alerts.standing).items()))


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The alerts that reached the webhook, compared with those that were raised.

    Attributes:
        delivered: raised alerts that reached it, each counted once.
        missing: raised alerts of live rules that did not.
        unexpected: alerts that reached it but were never raised.
        several_ids: alerts delivered under more webhook ids than they were raised times: a receiver cannot recognise
            these as repetitions.
        repeated: requests that repeated a webhook id: retries, which a receiver recognises by the id.
    """

    delivered: int
    missing: frozenset[str]
    unexpected: frozenset[str]
    several_ids: frozenset[str]
    repeated: int

    @property
    def exactly_once(self) -> bool:
        """Whether every alert was delivered once, and nothing else."""
        return not (self.missing or self.unexpected or self.several_ids)


def deliveries(alerts: AlertSet, received: Sequence[Delivery]) -> Deliveries:
    """Compare the raised alerts with the requests that the webhook received."""
    webhook_ids: dict[str, set[str]] = {}
    for delivery in received:
        if delivery.status == RAISED:
            webhook_ids.setdefault(delivery.alert_id, set()).add(delivery.webhook_id)
    return Deliveries(
        delivered=len(webhook_ids),
        missing=alerts.to_deliver - webhook_ids.keys(),
        unexpected=frozenset(webhook_ids.keys() - alerts.to_deliver),
        several_ids=frozenset(
            alert_id for alert_id, ids in webhook_ids.items() if len(ids) > alerts.raisings.get(alert_id, 1)
        ),
        repeated=len(received) - len({delivery.webhook_id for delivery in received}),
    )


def latencies_ms(alerts: AlertSet, received: Iterable[Delivery]) -> list[float]:
    """Milliseconds from the broker's append of the raw transaction to the alert's first arrival at the webhook."""
    first: dict[str, int] = {}
    for delivery in received:
        if delivery.status == RAISED and delivery.alert_id in alerts.raised:
            known = first.get(delivery.alert_id, delivery.received_us)
            first[delivery.alert_id] = min(known, delivery.received_us)
    return sorted(
        (received_us - alerts.raised[alert_id].raw_broker_time) / 1_000 for alert_id, received_us in first.items()
    )


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Nearest-rank percentile of ascending values; None if there are none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def precision(alerts: AlertSet, fraudulent: Collection[str]) -> float | None:
    """Share of standing alerts whose transaction is labelled fraud; None without alerts."""
    if not alerts.standing:
        return None
    hits = sum(alerts.raised[alert_id].transaction_id in fraudulent for alert_id in alerts.standing)
    return hits / len(alerts.standing)


def recall(alerts: AlertSet, labels: Iterable[Label]) -> float | None:
    """Share of fraud episodes with at least one standing alert on one of their transactions; None without fraud.

    A fraudulent transaction without a numbered episode is an episode of its own.
    """
    episode_of = {
        label.transaction_id: label.episode
        if label.episode and _EPISODE_SEPARATOR in label.episode
        else label.transaction_id
        for label in labels
        if label.is_fraud
    }
    if not episode_of:
        return None
    alerted = {alerts.raised[alert_id].transaction_id for alert_id in alerts.standing}
    found = {episode for transaction_id, episode in episode_of.items() if transaction_id in alerted}
    return len(found) / len(set(episode_of.values()))
