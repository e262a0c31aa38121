"""What the loader needs of Snowflake; ``snowflake_warehouse`` implements it."""

from collections.abc import Sequence
from typing import Protocol

from cardwatch_snowflake.columns import Column
from cardwatch_snowflake.progress import Progress, Reached, SnapshotProgress
from cardwatch_snowflake.source import Changes, Chunk


class Warehouse(Protocol):
    """Tables in Snowflake and how far each has come.

    Every method that takes ``expected`` changes rows and progress in one transaction, and only if the recorded progress
    is what the caller expects. All methods raise WarehouseError when Snowflake refuses or does not answer;
    nothing is half done then. After an error, call ``disconnect`` before the next one: ``progress`` on a new connection
        tells whether a commit without an answer took effect.
    """

    def progress(self, table: str) -> Progress:
        """How far a table has come; the beginning for one that was never loaded."""

    def apply(self, table: str, key: Sequence[str], changes: Changes, expected: Progress) -> Progress:
        """Merge changed rows into the target, delete deleted ones; returns the new progress.

        Raises:
            SupersededError: the recorded progress is another.
        """

    def begin_snapshot(
        self, table: str, columns: Sequence[Column], begun: SnapshotProgress, expected: Progress
    ) -> Progress:
        """Get ready to gather a snapshot. The target stays as it is.

        Raises:
            SupersededError: the recorded progress is another.
        """

    def gather(self, table: str, chunk: Chunk, expected: Progress) -> Progress:
        """Add a chunk to the rows gathered.

        Raises:
            SupersededError: the recorded progress is another.
            HistoryGoneError: what was gathered before is no longer there.
        """

    def finish_snapshot(
        self, table: str, key: Sequence[str], columns: Sequence[Column], reached: Reached, expected: Progress
    ) -> Progress:
        """Make the target hold what was gathered and nothing else, at once for all readers.

        Raises:
            SupersededError: the recorded progress is another.
        """

    def disconnect(self) -> None:
        """Close the connection; an open transaction is rolled back. The next call connects again."""
