"""The two streaming queries that keep ``gold.velocity_5m`` up to date with silver."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Final

from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId
from cardwatch_detector.lakehouse.metrics import WriteCounter
from cardwatch_detector.lakehouse.query import LakehouseQuery, Schedule, follow_table
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.velocity_windows.windows import (
    refresh_windows,
    settings_for_many,
    transactions_by_window,
)
from cardwatch_detector.runtime.session_settings import BatchSize, temporary_settings

# A window is in progress if it has this share of the new transactions; so at most ten are.
_IN_PROGRESS_SHARE: Final = 0.1

# Limits of new files per micro-batch. Their rows are grouped by window, and each window is read again.
_UNLIMITED: Final = {"maxFilesPerTrigger": "1000000"}
_ONE_GIGABYTE: Final = {"maxBytesPerTrigger": "1g"}

WindowChoice = Callable[[Mapping[int, int]], Sequence[int]]
"""The windows to compute, of all windows with their numbers of new transactions."""


def all_windows(touched: Mapping[int, int]) -> Sequence[int]:
    """Every window."""
    return sorted(touched)


def in_progress(touched: Mapping[int, int]) -> Sequence[int]:
    """The windows that most of the new transactions belong to: few, and those that somebody waits for."""
    total = sum(touched.values())
    return sorted(window for window, number in touched.items() if number >= _IN_PROGRESS_SHARE * total)


@dataclass
class WindowWriter:
    """Computes some of the windows that have new transactions.

    Attributes:
        tables_dir: where the tables are.
        choose: the windows to compute.
        counter: counts the rows after each commit.
        writing: a lock that a query takes while it writes, so that the other waits instead of conflicting in Delta's
            log.
        size: how many rows the work has; carried from micro-batch to micro-batch.
    """

    tables_dir: str
    choose: WindowChoice
    counter: WriteCounter
    writing: Lock
    size: BatchSize = field(default_factory=BatchSize)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch of new transactions (``event_time``); repeating it changes nothing."""
        session = batch.sparkSession
        with temporary_settings(session, self.size.settings()):
            touched = transactions_by_window(batch)
        windows = self.choose(touched)
        # The windows' older rows are not counted here; that they were many before suggests that they still are.
        self.size.rows = max(self.size.rows or 0, sum(touched.values()))
        if windows:
            with self.writing:
                settings = self.size.settings(settings_for_many(len(windows)))
                rows = refresh_windows(session, self.tables_dir, windows, write_id=WriteId(batch_id), settings=settings)
                self.size.rows = rows
            self.counter.rows_written(GOLD_VELOCITY_5M, rows)


def velocity_queries(
    settings: LakehouseSettings, counter: WriteCounter, make_size: Callable[[], BatchSize] = BatchSize
) -> list[LakehouseQuery]:
    """One query that computes every window with new transactions, and one that is ahead of it in the newest windows.

    The first alone keeps the table complete. Late transactions touch all windows of the last hour all the time, with a
    few
    rows each: computing those again costs much, and nobody waits for them. So it has a long trigger, the second a short
    one.

    Args:
        make_size: creates the size that a query's settings depend on.
    """
    name = GOLD_VELOCITY_5M.name
    writer = partial(WindowWriter, settings.tables_dir, counter=counter, writing=Lock())
    query = partial(_window_query, settings)
    every = writer(choose=all_windows, size=make_size())
    newest = writer(choose=in_progress, size=make_size())
    return [
        query(name=name, trigger=settings.velocity_late_trigger, limits=_ONE_GIGABYTE, writer=every),
        query(name=f"{name}.in_progress", trigger=settings.velocity_trigger, limits=_UNLIMITED, writer=newest),
    ]


def _window_query(
    settings: LakehouseSettings, *, name: str, trigger: str, limits: Mapping[str, str], writer: WindowWriter
) -> LakehouseQuery:
    def source(session: SparkSession) -> DataFrame:
        return follow_table(session, SILVER_TRANSACTIONS, settings.tables_dir, **limits).select("event_time")

    return LakehouseQuery(
        name=name,
        checkpoint_dir=settings.checkpoint_dir,
        schedule=Schedule(trigger, pool=GOLD_VELOCITY_5M.name),
        source=source,
        make_writer=lambda: writer,
    )
