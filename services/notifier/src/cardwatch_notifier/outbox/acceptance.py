"""How a batch of arrivals changes an outbox: the pure functions that every implementation uses.

In one transaction an outbox reads the positions of the batch's partitions and calls ``select_new``, reads what
receivers know of the alerts and calls ``find_changes``, and writes the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.notified_state import Decision, Notified, decide
from cardwatch_notifier.outbox.protocol import Arrival, OutboxBehindError, SourcePartition


@dataclass(frozen=True, slots=True)
class NewAlerts:
    """The part of a batch that was not accepted before.

    Attributes:
        alerts: its alerts, in order.
        positions: the next offset of each of the batch's partitions.
    """

    alerts: Sequence[Alert]
    positions: Mapping[SourcePartition, int]


def select_new(arrivals: Sequence[Arrival], positions: Mapping[SourcePartition, int]) -> NewAlerts:
    """The alerts that are new to an outbox that has reached ``positions``; a partition without one is at 0.

    Offsets without a message, such as the marker of a transaction or the messages of an aborted one, are not a gap:
        each arrival carries the end of the message before it.

    Raises:
        OutboxBehindError: the message before an arrival is beyond the position: what lies between would be lost.
    """
    reached = {arrival.partition: positions.get(arrival.partition, 0) for arrival in arrivals}
    alerts: list[Alert] = []
    for arrival in arrivals:
        partition, position = arrival.partition, reached[arrival.partition]
        if arrival.offset < position:
            continue
        if arrival.previous_end > position:
            raise OutboxBehindError(
                f"the outbox is at offset {position} of {partition.topic}-{partition.number} and was at "
                f"{arrival.previous_end} before: it was restored or failed over; what it misses is read again"
            )
        reached[partition] = arrival.offset + 1
        if arrival.alert is not None:
            alerts.append(arrival.alert)
    return NewAlerts(alerts, reached)


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """What a batch of alert events changes.

    Attributes:
        states: the last event of each alert, and what receivers were notified of after all of its events.
        messages: the messages to receivers, in order: message id and event.
        decisions: one for each event, in order.
    """

    states: Sequence[tuple[Alert, Notified]]
    messages: Sequence[tuple[str, Alert]]
    decisions: Sequence[Decision]


def find_changes(alerts: Sequence[Alert], notified: Mapping[str, Notified]) -> AlertChanges:
    """Apply events, in order, to what receivers were notified of, by alert id; of an id without an entry, nothing."""
    states: dict[str, tuple[Alert, Notified]] = {}
    messages: list[tuple[str, Alert]] = []
    decisions: list[Decision] = []
    for alert in alerts:
        before = states[alert.alert_id][1] if alert.alert_id in states else notified.get(alert.alert_id, Notified())
        transition = decide(before, alert)
        states[alert.alert_id] = (alert, transition.notified)
        decisions.append(transition.decision)
        if transition.message_id is not None:
            messages.append((transition.message_id, alert))
    return AlertChanges(list(states.values()), messages, decisions)
