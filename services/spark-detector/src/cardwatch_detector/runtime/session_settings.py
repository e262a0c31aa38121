"""Settings of Spark's session for a piece of work."""

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
    """For the length of a ``with``. A query's micro-batches have a session of their own: others see nothing of it."""
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
    """How many rows a query's work has, for settings that pay on many only; the session is set up for few.

    A micro-batch's size is known only after it was gone through. Until then that of the one before stands for it.

    Attributes:
        rows: of the micro-batch in hand, or of the one before; None before the first.
        many_rows: from how many on they are many.
    """

    rows: int | None = None
    many_rows: int = MANY_ROWS

    def look_ahead(self, batch: DataFrame) -> None:
        """Before the first micro-batch, which is large where a query has been down: whether it has many rows."""
        if self.rows is None:
            self.rows = batch.limit(self.many_rows).count()

    def settings(self, many: Mapping[str, str] = COMPILED, least: int | None = None) -> Mapping[str, str]:
        """`many` for ``least`` rows (``many_rows``) and more; else none, which leaves the session as it is."""
        return many if (self.rows or 0) >= (self.many_rows if least is None else least) else {}
