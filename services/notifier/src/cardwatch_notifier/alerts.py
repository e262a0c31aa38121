"""An alert as the notifier sees it: the fields that it decides by, and the body that receivers get."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The status that the detector gives an alert."""

    RAISED = "raised"
    SUPPRESSED = "suppressed"
    RETRACTED = "retracted"


class Mode(StrEnum):
    """Whether alerts of the rule are delivered to receivers."""

    LIVE = "live"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert event.

    Attributes:
        alert_id: a UUID in its canonical form (no full stop in it, so it is fit to be signed as a webhook-id).
        event_time, raw_broker_time, detected_at: microseconds since 1970-01-01 UTC.
        body: what a receiver gets, JSON text; see ``intake.decoding``.
        trace_context: the trace that the event belongs to, W3C ``traceparent``, or None.
    """

    alert_id: str
    status: Status
    mode: Mode
    rule_id: str
    event_time: int
    raw_broker_time: int
    detected_at: int
    body: str
    trace_context: str | None = None
