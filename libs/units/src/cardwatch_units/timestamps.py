"""Points in time as Cardwatch stores them: whole microseconds since 1970-01-01T00:00:00 UTC, and conversions."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MICROSECONDS_PER_MILLISECOND: Final = 1_000
MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_MINUTE: Final = 60 * MICROSECONDS_PER_SECOND
MICROSECONDS_PER_HOUR: Final = 60 * MICROSECONDS_PER_MINUTE
MICROSECONDS_PER_DAY: Final = 24 * MICROSECONDS_PER_HOUR

_MICROSECOND: Final = timedelta(microseconds=1)


def now_microseconds() -> int:
    """The current time, microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC of a time that has a UTC offset.

    Raises:
        TypeError: the time has no UTC offset.
    """
    return (moment - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The UTC time that lies so many microseconds after 1970.

    Raises:
        OverflowError: the time lies outside the years 1 to 9999.
    """
    return EPOCH + timedelta(microseconds=microseconds)


def require_date(microseconds: int) -> int:
    """The same microseconds, of a time that has a date.

    Raises:
        ValueError: the time lies outside the years 1 to 9999.
    """
    try:
        from_microseconds(microseconds)
    except OverflowError:
        raise ValueError(f"{microseconds} microseconds since 1970 lie outside the years 1 to 9999") from None
    return microseconds


def parse_time(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time; a time without an offset is taken as UTC.

    Raises:
        ValueError: the text is not an ISO 8601 time; the message says what was expected and what was found.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"expected an ISO 8601 time such as 2026-11-01 or 2026-11-01T12:00:00Z, got {text!r}"
        ) from error
    return to_microseconds(moment.replace(tzinfo=moment.tzinfo or UTC))
