"""What a batch of arrivals does to an outbox: the part that every outbox has in common. Pure.

An outbox reads the positions of the batch's partitions, asks ``fresh``; reads what is known of the alerts, asks
``settle``; and writes what comes of it, all in one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cardwatch_notifier.alerts import Alert
from cardwatch_notifier.outbox.protocol import Arrival, OutboxBehindError, SourcePartition
from cardwatch_notifier.transitions import Known, Verdict, decide


@dataclass(frozen=True, slots=True)
class Fresh:
    """What of a batch was not accepted before.

    Attributes:
        alerts: the alerts among it, in order.
        positions: the next offset of each of the batch's partitions.
    """

    alerts: Sequence[Alert]
    positions: Mapping[SourcePartition, int]


def fresh(arrivals: Sequence[Arrival], positions: Mapping[SourcePartition, int]) -> Fresh:
    """What is new to an outbox that has reached ``positions``, those not named being 0.

    Raises:
        OutboxBehindError: an arrival follows an offset beyond them: what lies between would be lost.
    """
    reached = {arrival.partition: positions.get(arrival.partition, 0) for arrival in arrivals}
    alerts: list[Alert] = []
    for arrival in arrivals:
        partition, position = arrival.partition, reached[arrival.partition]
        if arrival.offset < position:
            continue
        if arrival.follows > position:
            raise OutboxBehindError(
                f"the outbox is at offset {position} of {partition.topic}-{partition.number} and was at "
                f"{arrival.follows} before: it was restored or failed over; what it misses is read again"
            )
        reached[partition] = arrival.offset + 1
        if arrival.alert is not None:
            alerts.append(arrival.alert)
    return Fresh(alerts, reached)


@dataclass(frozen=True, slots=True)
class Settled:
    """What alerts come to.

    Attributes:
        states: the last event of each alert, and what receivers know of it after all of them.
        messages: what receivers are to be told, in order: message id and event.
        verdicts: one for each event, in order.
    """

    states: Sequence[tuple[Alert, Known]]
    messages: Sequence[tuple[str, Alert]]
    verdicts: Sequence[Verdict]


def settle(alerts: Sequence[Alert], known: Mapping[str, Known]) -> Settled:
    """Apply events, in order, to what receivers know of each alert id; nothing of those not named."""
    states: dict[str, tuple[Alert, Known]] = {}
    messages: list[tuple[str, Alert]] = []
    verdicts: list[Verdict] = []
    for alert in alerts:
        before = states[alert.alert_id][1] if alert.alert_id in states else known.get(alert.alert_id, Known())
        transition = decide(before, alert)
        states[alert.alert_id] = (alert, transition.known)
        verdicts.append(transition.verdict)
        if transition.message_id is not None:
            messages.append((transition.message_id, alert))
    return Settled(list(states.values()), messages, verdicts)
