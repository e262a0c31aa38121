"""Temporary settings of a Spark session, and which settings pay for how many rows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.runtime.session import COMPILED

# With 500 rows a micro-batch takes as long interpreted as compiled, with 20,000 four times as long; and when a query
# has just started, nothing of it is compiled yet (docs/decisions/0013-silver-deduplication.md).
MANY_ROWS: Final = 2_000


@contextmanager
def temporary_settings(session: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Change settings for the length of a ``with``; other queries see nothing, as each has a session of its own."""
    before = {name: session.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            session.conf.set(name, value)
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, earlier)


@dataclass
class BatchSize:
    """How many rows a query's work has, for settings that pay only with many; the session is set up for few.

    A micro-batch's size is known only after it has been read. Until then the size of the previous one is the estimate.

    Attributes:
        rows: of the current micro-batch, or of the one before; None before the first.
        many_rows: from how many rows on the settings for many pay.
    """

    rows: int | None = None
    many_rows: int = MANY_ROWS

    def estimate_first(self, batch: DataFrame) -> None:
        """Count the first micro-batch as far as needed: it is large where a query has been down."""
        if self.rows is None:
            self.rows = batch.limit(self.many_rows).count()

    def settings(self, for_many: Mapping[str, str] = COMPILED) -> Mapping[str, str]:
        """``for_many`` if there are many rows; else none, which leaves the session as it is."""
        return for_many if (self.rows or 0) >= self.many_rows else {}
