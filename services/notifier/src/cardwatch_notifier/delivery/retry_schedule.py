"""When a delivery that did not succeed is tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# A receiver may ask not to be called for a while; after this long it is called again anyway.
LONGEST_RETRY_AFTER_SECONDS: Final = 24 * 3600.0
_MAX_RETRY_AFTER_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Exponential backoff: ``first``, ``first·2``, ``first·4`` … seconds, at most ``longest``, each spread by jitter.

    Attributes:
        first_seconds: pause after the first attempt.
        longest_seconds: the longest pause.
    """

    first_seconds: float
    longest_seconds: float

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.longest_seconds:
            raise ValueError(
                "expected 0 < first_seconds <= longest_seconds, "
                f"got {self.first_seconds:g} and {self.longest_seconds:g}"
            )

    def pause(self, failures: int, random: Callable[[], float], after_seconds: float | None = None) -> float:
        """Seconds until the next attempt.

        Args:
            failures: attempts that failed so far, 1 or more.
            random: uniform in [0, 1).
            after_seconds: how long the receiver asked not to be called. It is honoured in place of the backoff: never
                earlier, and up to a tenth later, so that many messages do not come back in the same instant.
        """
        if after_seconds is not None:
            asked = min(max(after_seconds, self.first_seconds), LONGEST_RETRY_AFTER_SECONDS)
            return asked * (1 + 0.1 * random())
        # The exponent is bounded: 2.0**1024 overflows.
        backoff = min(self.first_seconds * 2.0 ** min(failures - 1, 64), self.longest_seconds)
        return backoff * (0.75 + 0.5 * random())


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: seconds or a date), a day at most.

    None if there is none, or if it is neither, or longer than either is.
    """
    if value is None or len(value) > _MAX_RETRY_AFTER_CHARACTERS:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):  # whatever the receiver wrote
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(0.0, (date - now).total_seconds()), LONGEST_RETRY_AFTER_SECONDS)
