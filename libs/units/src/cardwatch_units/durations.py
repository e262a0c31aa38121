"""Durations such as ``90s`` or ``24h``, as rules, settings and command lines write them."""

import re
from decimal import Decimal
from typing import Final

from cardwatch_units.timestamps import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MILLISECOND,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
)

MICROSECONDS_PER_UNIT: Final = {
    "ms": MICROSECONDS_PER_MILLISECOND,
    "s": MICROSECONDS_PER_SECOND,
    "m": MICROSECONDS_PER_MINUTE,
    "h": MICROSECONDS_PER_HOUR,
    "d": MICROSECONDS_PER_DAY,
}

_LONGEST_DAYS: Final = 36_500
_LONGEST_US: Final = _LONGEST_DAYS * MICROSECONDS_PER_DAY
_MAX_QUOTED: Final = 40
_WHOLE: Final = re.compile(r"(\d+)\s*([smhd])")
_FRACTION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])?")


def parse_duration(text: str, *, fractions: bool = False, allow_zero: bool = False) -> int:
    """The length in microseconds of a duration such as ``90s``, ``10m``, ``24h`` or ``7d``.

    Args:
        text: a number and its unit, ``s``, ``m``, ``h`` or ``d``; spaces around it do not matter.
        fractions: also accept decimal fractions (``1.5h``), milliseconds (``500ms``) and a bare number of seconds.
        allow_zero: also accept a duration of zero.

    Raises:
        ValueError: the text is not such a duration; the message says what was expected and what was found.
    """
    match = (_FRACTION if fractions else _WHOLE).fullmatch(text.strip())
    if match is None:
        examples = "500ms, 60s, 1.5h or 7d" if fractions else "90s, 10m, 24h or 7d"
        raise ValueError(f"expected a duration such as {examples}, got {text[:_MAX_QUOTED]!r}")
    microseconds = int(Decimal(match[1]) * MICROSECONDS_PER_UNIT[match[2] or "s"])
    if microseconds == 0 and not allow_zero:
        raise ValueError(f"expected a duration longer than zero, got {text[:_MAX_QUOTED]!r}")
    if microseconds > _LONGEST_US:
        raise ValueError(f"expected a duration of at most {_LONGEST_DAYS}d, got {text[:_MAX_QUOTED]!r}")
    return microseconds


def format_duration(microseconds: int, *, one_day: str = "24h") -> str:
    """A duration as ``parse_duration`` reads it, in the largest unit that divides it: ``90s``, ``10m``, ``7d``.

    What is not a whole number of seconds is written as a decimal fraction of seconds: ``1.5s``.

    Args:
        microseconds: the length.
        one_day: how a single day is written; ``24h`` cannot be mistaken for a calendar day.
    """
    if microseconds == MICROSECONDS_PER_DAY:
        return one_day
    for unit in ("d", "h", "m", "s"):
        number, rest = divmod(microseconds, MICROSECONDS_PER_UNIT[unit])
        if number and not rest:
            return f"{number}{unit}"
    return f"{microseconds / MICROSECONDS_PER_SECOND:g}s"
