"""Loads tables step by step: each step is one transaction in Snowflake that changes rows and progress together."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cardwatch_lakehouse.tables import Table
from cardwatch_service.logs import get_logger

from cardwatch_snowflake.errors import HistoryGoneError
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.progress import (
    BeginSnapshot,
    ContinueSnapshot,
    Head,
    Increment,
    Progress,
    SnapshotProgress,
    UpToDate,
    behind,
    next_step,
)
from cardwatch_snowflake.source import Source
from cardwatch_snowflake.warehouse import Warehouse

log = get_logger(__name__)

# A reload that was requested is noticed after this long at the latest, although nothing else changes.
LOOK_AGAIN_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of a step.

    Attributes:
        present: whether there is a Delta table to load.
        more: whether there is another step to take at once.
    """

    present: bool
    more: bool


class TableLoader:
    """Brings one table forward.

    The progress is read from Snowflake once, and then remembered: a table without changes costs no statement, and the
    warehouse may be suspended. Each write checks that the record is still what is remembered.

    Args:
        work_dir: where files are written before they are uploaded; nothing stays in it.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        table: Table,
        source: Source,
        warehouse: Warehouse,
        metrics: LoaderMetrics,
        work_dir: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self.name: Final = table.name
        self._key: Final = tuple(table.key)
        self._source: Final = source
        self._warehouse: Final = warehouse
        self._metrics: Final = metrics
        self._work_dir: Final = work_dir
        self._clock: Final = clock
        self._progress: Progress | None = None
        self._progress_read_at: float = 0.0

    def forget(self) -> None:
        """Read the progress again before the next step; to be called after an error."""
        self._progress = None

    def step(self) -> Loaded:
        """Take the table's next step.

        Raises:
            SourceError: the Delta table cannot be read now.
            WarehouseError: Snowflake refused or did not answer.
        """
        head = self._source.head()
        if head is None:
            return Loaded(present=False, more=False)
        progress = self._known_progress()
        step = next_step(progress, head)
        self._metrics.lag(self.name, behind(progress, head))
        if isinstance(step, UpToDate):
            return Loaded(present=True, more=False)
        began = self._clock()
        with tempfile.TemporaryDirectory(prefix="cardwatch-load-", dir=self._work_dir) as directory:
            try:
                match step:
                    case Increment(since):
                        self._progress = self._increment(progress, since, Path(directory))
                    case ContinueSnapshot(snapshot):
                        self._progress = self._continue(progress, snapshot, Path(directory))
                    case BeginSnapshot(why):
                        self._progress = self._begin(progress, head, why)
            except HistoryGoneError as gone:
                self._progress = self._begin(progress, head, str(gone))
        self._metrics.load_took(self.name, self._clock() - began)
        self._metrics.lag(self.name, behind(self._progress, head))
        return Loaded(present=True, more=not isinstance(next_step(self._progress, head), UpToDate))

    def _known_progress(self) -> Progress:
        now = self._clock()
        if self._progress is None or now - self._progress_read_at >= LOOK_AGAIN_SECONDS:
            self._progress = self._warehouse.progress(self.name)
            self._progress_read_at = now
        return self._progress

    def _increment(self, progress: Progress, since: int, directory: Path) -> Progress:
        changes = self._source.changes(since, directory)
        after = self._warehouse.apply(self.name, self._key, changes, progress)
        self._metrics.rows(self.name, upserted=changes.upserted, deleted=changes.deleted)
        log.info(
            "changes loaded",
            table=self.name,
            version=changes.reached.version,
            upserted=changes.upserted,
            deleted=changes.deleted,
        )
        return after

    def _begin(self, progress: Progress, head: Head, why: str) -> Progress:
        begun = SnapshotProgress(head.table_id, head.version)
        log.info("loading the whole table", table=self.name, version=head.version, reason=why)
        columns = self._source.columns(head.version)
        return self._warehouse.begin_snapshot(self.name, columns, begun, progress)

    def _continue(self, progress: Progress, snapshot: SnapshotProgress, directory: Path) -> Progress:
        chunk = self._source.chunk(snapshot.version, snapshot.files, directory)
        gathered = progress
        if chunk.files_done > snapshot.files:
            gathered = self._warehouse.gather(self.name, chunk, progress)
            self._metrics.rows(self.name, upserted=chunk.rows, deleted=0)
            log.info(
                "part of the whole table gathered",
                table=self.name,
                version=snapshot.version,
                rows=snapshot.rows + chunk.rows,
                files=f"{chunk.files_done} of {chunk.files_in_all}",
            )
        if not chunk.last:
            return gathered
        after = self._warehouse.finish_snapshot(self.name, self._key, chunk.columns, chunk.reached, gathered)
        log.info("whole table loaded", table=self.name, version=snapshot.version, rows=snapshot.rows + chunk.rows)
        return after
