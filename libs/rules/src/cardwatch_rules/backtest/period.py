"""The range of event times that is tested."""

from dataclasses import dataclass
from typing import Final

import polars as pl

# Before and after any event time, with a margin to the limits of 64 bits for calculations.
OPEN_START: Final = -(2**61)
OPEN_END: Final = 2**61


@dataclass(frozen=True, slots=True)
class Period:
    """Event times from ``start_us`` on and before ``end_us``, microseconds since epoch UTC."""

    start_us: int = OPEN_START
    end_us: int = OPEN_END

    def holds(self, event_time: pl.Expr) -> pl.Expr:
        """Whether event times (integer microseconds) lie in the period."""
        return (event_time >= self.start_us) & (event_time < self.end_us)

    def with_history(self, history_us: int) -> "Period":
        """The period with a start that is this much earlier."""
        return Period(self.start_us - history_us, self.end_us)
