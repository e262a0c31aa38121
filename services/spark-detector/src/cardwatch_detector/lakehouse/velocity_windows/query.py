"""The two streaming queries that keep ``gold.velocity_5m`` up with silver."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Final

from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.query import LakehouseQuery, follow
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.velocity_windows.windows import many, refresh_windows, transactions_by_window
from cardwatch_detector.runtime.session_settings import MANY_ROWS, BatchSize, temporary_settings

# A window is in progress if it has this share of what is new; at most ten are, however much is new.
_BUSY: Final = 0.1

# Of new files that a micro-batch takes at most. Their rows are grouped by window, and each window is read again.
_ALL: Final = {"maxFilesPerTrigger": "1000000"}
_SOME: Final = {"maxBytesPerTrigger": "1g"}

# Of windows, by their number of new transactions, those to make.
_Choice = Callable[[Mapping[int, int]], Sequence[int]]


def all_of(touched: Mapping[int, int]) -> Sequence[int]:
    """Every window."""
    return sorted(touched)


def in_progress(touched: Mapping[int, int]) -> Sequence[int]:
    """The windows that most of the new transactions belong to: dear to wait for, and few."""
    total = sum(touched.values())
    return sorted(window for window, number in touched.items() if number >= _BUSY * total)


def velocity_queries(
    settings: LakehouseSettings, written: Callable[[int], None], *, many_rows: int = MANY_ROWS
) -> list[LakehouseQuery]:
    """The query that makes every window that was touched, late ones too; and one that is ahead of it in the newest.

    The first alone makes the table right. Late transactions touch all windows of the last hour all the time, with a few
    rows each: making those again costs much, and nobody waits for them. So it has a long trigger, the second a short
    one.

    Args:
        written: called with the number of rows after each commit.
        many_rows: from how many new rows on a micro-batch has the settings for many.
    """
    # Held while one query writes, so that the other waits rather than meets it in Delta's log.
    writing = Lock()

    def query(name: str, trigger: str, which: _Choice, bounds: Mapping[str, str]) -> LakehouseQuery:
        def source(session: SparkSession) -> DataFrame:
            return follow(session, SILVER_TRANSACTIONS, settings.tables_dir, **bounds).select("event_time")

        size = BatchSize(many_rows=many_rows)

        def write(batch: DataFrame, batch_id: int) -> None:
            session = batch.sparkSession
            with temporary_settings(session, size.settings()):
                touched = transactions_by_window(batch)
            windows = which(touched)
            # What windows hold beside what is new is not known; that they had many rows before tells that it is much.
            size.rows = max(size.rows or 0, sum(touched.values()))
            if windows:
                with writing:
                    chosen = size.settings(many(len(windows)))
                    size.rows = rows = refresh_windows(session, settings.tables_dir, windows, batch_id, chosen)
                written(rows)

        return LakehouseQuery(name, settings.checkpoint_dir, trigger, source, lambda: write, pool=GOLD_VELOCITY_5M.name)

    name = GOLD_VELOCITY_5M.name
    return [
        query(name, settings.velocity_late_trigger, all_of, _SOME),
        query(f"{name}.in_progress", settings.velocity_trigger, in_progress, _ALL),
    ]
