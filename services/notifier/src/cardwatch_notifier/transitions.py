"""When an alert event is news to receivers, and under which id they get it.

Upstream delivers at least once, so the same event may come again. Receivers hear of changes only::

    event        raised  raised  retracted  retracted  raised
    told         raised  -       retracted  -          raised
    message id   <id>            <id>-2                <id>-3

A suppressed one is counted on an earlier alert of the same rule and key, and nobody is told of it; unless a late
transaction suppresses what was raised and told before::

    event        suppressed  raised  suppressed    raised
    told         -           raised  suppressed    raised

Events of a rule in shadow mode are remembered but never told, and do not change what receivers know.
"""

from dataclasses import dataclass
from enum import StrEnum

from cardwatch_notifier.alerts import Alert, Mode, Status


@dataclass(frozen=True, slots=True)
class Known:
    """What receivers have been told of one alert so far.

    Attributes:
        told: the last status they were told, or None.
        transitions: how many times they were told anything.
    """

    told: Status | None = None
    transitions: int = 0


class Verdict(StrEnum):
    """What an alert event amounts to."""

    RAISED = "raised"
    SUPPRESSED = "suppressed"
    RETRACTED = "retracted"
    REPEATED = "repeated"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Transition:
    """The outcome of one event: the new state and, where it is news, the id of the message that tells it."""

    known: Known
    verdict: Verdict
    message_id: str | None


def decide(known: Known, alert: Alert) -> Transition:
    """Apply one event to what receivers know. Pure; see the module's docstring."""
    if alert.mode is Mode.SHADOW:
        return Transition(known, Verdict.SHADOW, None)
    stands = known.told is Status.RAISED
    if (alert.status is Status.RAISED) is stands:
        verdict = Verdict.SUPPRESSED if alert.status is Status.SUPPRESSED else Verdict.REPEATED
        return Transition(known, verdict, None)
    number = known.transitions + 1
    return Transition(Known(alert.status, number), Verdict(alert.status.value), message_id(alert.alert_id, number))


def message_id(alert_id: str, transition: int) -> str:
    """The id of the message that tells an alert's n-th transition (from 1); the same on every retry.

    No full stop in it: Standard Webhooks signs ``id.timestamp.body``, and an id with one could be read two ways.
    """
    return alert_id if transition == 1 else f"{alert_id}-{transition}"
