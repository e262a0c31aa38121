"""Which alert events receivers are notified of, and under which message id.

Upstream delivers at least once, so the same event may come again. Receivers are notified of changes only::

    event        raised  raised  retracted  retracted  raised
    notified     raised  -       retracted  -          raised
    message id   <id>            <id>-2                <id>-3

A suppressed event is counted on an earlier alert of the same rule and key, and nobody is notified of it; unless a late
transaction suppresses an alert that receivers were notified of before::

    event        suppressed  raised  suppressed    raised
    notified     -           raised  suppressed    raised

Events of a rule in shadow mode are recorded, but nobody is ever notified of them.
"""

from dataclasses import dataclass
from enum import StrEnum

from cardwatch_notifier.alerts import Alert, Mode, Status


@dataclass(frozen=True, slots=True)
class Notified:
    """What receivers have been notified of one alert so far.

    Attributes:
        status: the last status that they were notified of, or None.
        transitions: how many notifications there were.
    """

    status: Status | None = None
    transitions: int = 0


class Decision(StrEnum):
    """What an alert event amounts to."""

    RAISED = "raised"
    SUPPRESSED = "suppressed"
    RETRACTED = "retracted"
    REPEATED = "repeated"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Transition:
    """The outcome of one event.

    Attributes:
        notified: what receivers have been notified of after it.
        message_id: of the message that notifies them of this event; None where there is none.
    """

    notified: Notified
    decision: Decision
    message_id: str | None


def decide(notified: Notified, alert: Alert) -> Transition:
    """Apply one event to what receivers have been notified of. Pure; see the module's docstring."""
    if alert.mode is Mode.SHADOW:
        return Transition(notified, Decision.SHADOW, None)
    is_raised = notified.status is Status.RAISED
    if (alert.status is Status.RAISED) is is_raised:
        decision = Decision.SUPPRESSED if alert.status is Status.SUPPRESSED else Decision.REPEATED
        return Transition(notified, decision, None)
    number = notified.transitions + 1
    return Transition(Notified(alert.status, number), Decision(alert.status.value), message_id(alert.alert_id, number))


def message_id(alert_id: str, transition: int) -> str:
    """The id of the message about an alert's n-th transition (from 1); the same on every retry.

    No full stop in it: Standard Webhooks signs ``id.timestamp.body``, and an id with one could be read two ways.
    """
    return alert_id if transition == 1 else f"{alert_id}-{transition}"
