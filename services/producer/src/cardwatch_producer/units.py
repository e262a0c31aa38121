"""Durations, speeds and times as people write them on a command line."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SPEED: Final = re.compile(r"(\d+(?:\.\d+)?)x")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> float:
    """Seconds: ``500ms``, ``60s``, ``5m``, ``1.5h``, ``7d``; a number alone is seconds.

    Raises:
        ConfigurationError: it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is no duration; 60s, 5m, 2h or 7d would be right")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_speed(text: str) -> float:
    """How many times faster than in life: ``60x``; infinity for ``max``.

    Raises:
        ConfigurationError: it is neither.
    """
    if text == "max":
        return math.inf
    match = _SPEED.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ConfigurationError(f"{text!r} is no speed; 1x, 60x (sixty times faster) or max would be right")
    return float(match[1])


def parse_time(text: str) -> int:
    """Microseconds since 1970-01-01 UTC of an ISO 8601 time; UTC where it has no offset.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no time; 2026-01-31T12:00:00Z would be right") from error
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
