"""An alert as the notifier sees it: the fields it needs to decide, and the body that receivers get."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_units.timestamps import from_microseconds

E = TypeVar("E", bound=StrEnum)

_TIMES: Final = ("event_time", "window_start", "raw_broker_time", "detected_at")


class Status(StrEnum):
    """What the detector says of an alert."""

    RAISED = "raised"
    SUPPRESSED = "suppressed"
    RETRACTED = "retracted"


class Mode(StrEnum):
    """Whether an alert may be told to anyone."""

    LIVE = "live"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert event.

    Attributes:
        alert_id: a UUID in its canonical form (no full stop in it, so it is fit to be signed as a webhook-id).
        event_time, raw_broker_time, detected_at: microseconds since 1970-01-01 UTC.
        body: what a receiver gets, JSON text; see ``webhook_body``.
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


def alert_from_record(record: Record) -> Alert:
    """An alert from a decoded message of ``alerts.v1``.

    Raises:
        RefusedError: a field has a value that no alert can have; its reason code says which kind.
    """
    alert_id = str(record["alert_id"])
    try:
        canonical = str(UUID(alert_id)) == alert_id
    except ValueError:
        canonical = False
    if not canonical:
        raise RefusedError(Reason.WRONG_TYPE, "alert_id is not a UUID; one in lower case with hyphens would be right")
    return Alert(
        alert_id=alert_id,
        status=_one_of(Status, record, "status"),
        mode=_one_of(Mode, record, "mode"),
        rule_id=record["rule_id"],
        event_time=record["event_time"],
        raw_broker_time=record["raw_broker_time"],
        detected_at=record["detected_at"],
        body=webhook_body(record),
    )


def webhook_body(record: Record) -> str:
    """The JSON that receivers get: ``type`` (``alert.`` and the status), ``timestamp`` and ``data``.

    ``data`` holds every field of the alert; times are ISO 8601 in UTC with microseconds. ``timestamp`` is
    ``detected_at``. A measure that is no number (NaN, infinite) becomes null: JSON has no such numbers.

    Raises:
        RefusedError: a time lies outside the years 1 to 9999.
    """
    data: dict[str, Any] = dict(record)
    for name in _TIMES:
        data[name] = _iso(name, record[name])
    data["measures"] = [{**measure, "value": _finite(measure["value"])} for measure in record["measures"]]
    body = {"type": f"alert.{record['status']}", "timestamp": data["detected_at"], "data": data}
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _one_of(kind: type[E], record: Record, field: str) -> E:
    try:
        return kind(record[field])
    except ValueError as error:
        raise RefusedError(
            Reason.INVALID_STATUS, f"{field} is {str(record[field])[:40]!r}; one of {', '.join(kind)} would be right"
        ) from error


def _iso(field: str, micros: int) -> str:
    try:
        moment = from_microseconds(micros)
    except OverflowError as error:
        raise RefusedError(
            Reason.EVENT_TIME_IMPLAUSIBLE,
            f"{field} is {micros} microseconds since 1970, which lies outside the years 1 to 9999",
        ) from error
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
