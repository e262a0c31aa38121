"""Decodes messages of the alerts topic into alerts, and builds the JSON body that receivers get."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_kafka.dead_letters import DeadLetter, build_or_last_resort, describe_internal_error, log_internal_error
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_service.printable import escape_control_characters
from cardwatch_service.trace_context import extract_context
from cardwatch_units.timestamps import from_microseconds

from cardwatch_notifier.alerts import Alert, Mode, Status
from cardwatch_notifier.intake.dead_letters import SERVICE, refuse

E = TypeVar("E", bound=StrEnum)

_TIMES: Final = ("event_time", "window_start", "raw_broker_time", "detected_at")


class AlertDecoder:
    """Decodes messages one by one; a message that is not an alert becomes a dead letter, never an exception.

    ``clock`` returns microseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        decode_record: Callable[[bytes | None], Record],
        clock: Callable[[], int],
        look_up_schemas: Callable[[Sequence[bytes | None]], None] = lambda values: None,
    ) -> None:
        self._decode_record: Final = decode_record
        self._clock: Final = clock
        self._look_up_schemas: Final = look_up_schemas

    def decode_batch(self, messages: Sequence[ReceivedMessage]) -> list[Alert | DeadLetter]:
        """What each message is, see ``decode``; their schemas are asked for at once.

        Raises:
            RegistryUnavailableError: the schemas cannot be read now: repeat the call with the same messages.
        """
        self._look_up_schemas([message.value for message in messages])
        return [self.decode(message) for message in messages]

    def decode(self, message: ReceivedMessage) -> Alert | DeadLetter:
        """The alert, with the trace that it came with, or the message's dead letter.

        Raises:
            RegistryUnavailableError: the message's schema cannot be read now.
        """
        try:
            alert = alert_from_record(self._decode_record(message.value))
            return replace(alert, trace_context=extract_context(message.headers))
        except RegistryUnavailableError:
            raise
        except RefusedError as error:
            return self.refuse(message, error)
        except Exception as error:  # noqa: BLE001
            # An internal error must not stop the alerts behind this message; the dead letter keeps it.
            (error_type, where) = describe_internal_error(error)
            log_internal_error(message, error_type, where)
            defect = RefusedError(Reason.INTERNAL_ERROR, f"reading it raised {error_type}")
            return self.refuse(message, defect)

    def refuse(self, message: ReceivedMessage, refused: RefusedError) -> DeadLetter:
        """The dead letter of a message that is refused now."""
        now = self._clock()
        return build_or_last_resort(
            lambda: refuse(message, refused, now), message, refused, service=SERVICE, refused_at=now
        )


def alert_from_record(record: Record) -> Alert:
    """An alert from a decoded message of ``alerts.v1``.

    Raises:
        RefusedError: a field has a value that no alert can have; its reason code says which.
    """
    alert_id = str(record["alert_id"])
    try:
        canonical = str(UUID(alert_id)) == alert_id
    except ValueError:
        canonical = False
    if not canonical:
        raise RefusedError(
            Reason.WRONG_TYPE, f"alert_id is {alert_id[:40]!r}; expected a UUID in lower case with hyphens"
        )
    if "\x00" in record["rule_id"]:
        raise RefusedError(Reason.WRONG_TYPE, "rule_id contains a zero byte; expected text that a database can hold")
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
    ``detected_at``. A measure that is not a finite number (NaN, infinite) becomes null: JSON has no such numbers.
    Control characters and marks of direction are written as JSON's escapes, so that nobody who reads the body is
    misled; its values stay the same.

    Raises:
        RefusedError: a time lies outside the years 1 to 9999.
    """
    data: dict[str, Any] = dict(record)
    for name in _TIMES:
        data[name] = _iso(name, record[name])
    data["measures"] = [{**measure, "value": _finite(measure["value"])} for measure in record["measures"]]
    body = {"type": f"alert.{record['status']}", "timestamp": data["detected_at"], "data": data}
    return escape_control_characters(json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _one_of(kind: type[E], record: Record, field: str) -> E:
    try:
        return kind(record[field])
    except ValueError as error:
        raise RefusedError(
            Reason.INVALID_STATUS, f"{field} is {str(record[field])[:40]!r}; expected one of {', '.join(kind)}"
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
