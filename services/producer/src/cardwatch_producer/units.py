"""Durations, speeds and times as people write them on the producer's command line."""

import math
import re
from typing import Final

from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_units import durations, timestamps

_SPEED: Final = re.compile(r"(\d+(?:\.\d+)?)x")


def parse_seconds(option: str, text: str) -> float:
    """The seconds of an option's duration such as ``500ms``, ``60s``, ``1.5h`` or ``7d``; a bare number is seconds.

    Raises:
        ConfigurationError: the text is not such a duration.
    """
    with configuration_errors(option):
        microseconds = durations.parse_duration(text, fractions=True, allow_zero=True)
    return microseconds / timestamps.MICROSECONDS_PER_SECOND


def parse_speed(text: str) -> float:
    """How many times faster than the events happened: 60.0 for ``60x``, infinity for ``max``.

    Raises:
        ConfigurationError: the text is neither.
    """
    if text == "max":
        return math.inf
    match = _SPEED.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ConfigurationError(f"expected a speed such as 1x, 60x (sixty times faster) or max, got {text!r}")
    return float(match[1])


def parse_time(option: str, text: str) -> int:
    """Microseconds since 1970 UTC of an option's ISO 8601 time; UTC where it has no offset.

    Raises:
        ConfigurationError: the text is not an ISO 8601 time.
    """
    with configuration_errors(option):
        return timestamps.parse_time(text)
