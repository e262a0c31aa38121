"""The settings that depend on a micro-batch's size, without Spark."""

from typing import Any

from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import MANY_ROWS, BatchSize


class Batch:
    """A batch with a given number of rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def limit(self, rows: int) -> "Batch":
        return Batch(min(rows, self.rows))

    def count(self) -> int:
        return self.rows


def looked_at(rows: int) -> BatchSize:
    size = BatchSize()
    batch: Any = Batch(rows)
    size.estimate_first(batch)
    return size


def test_plans_are_compiled_for_many_rows_only() -> None:
    assert BatchSize(MANY_ROWS - 1).settings() == {}
    assert BatchSize(MANY_ROWS).settings() == COMPILED
    assert BatchSize(MANY_ROWS).settings({"a": "b"}) == {"a": "b"}
    assert BatchSize(MANY_ROWS, many_rows=MANY_ROWS + 1).settings() == {}


def test_only_the_first_micro_batch_is_counted_in_advance() -> None:
    assert looked_at(MANY_ROWS - 1).settings() == {}
    assert looked_at(200_000).settings() == COMPILED
    size = looked_at(5)
    later: Any = Batch(200_000)
    size.estimate_first(later)
    assert size.settings() == {}, "the previous micro-batch's size is the estimate"
