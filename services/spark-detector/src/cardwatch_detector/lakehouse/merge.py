"""A table that is merged from a topic: what the writers of such tables have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame

from cardwatch_detector.lakehouse.conflicts import again_on_conflict
from cardwatch_detector.lakehouse.decode import Schemas, decoded
from cardwatch_detector.lakehouse.quarantine import Quarantined, quarantine
from cardwatch_detector.lakehouse.write import once


@dataclass(frozen=True)
class MergeWriter(ABC):
    """Merges the messages of micro-batches into a table; what cannot be decoded goes to quarantine.

    Attributes:
        tables_dir: where the tables are.
        schemas: those that the topic's messages are written with.
        written: called with the number of rows inserted or changed after each commit.
        quarantined: called with the number of undecodable messages by reason after each commit.
    """

    tables_dir: str
    schemas: Schemas
    written: Callable[[int], None]
    quarantined: Quarantined

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        with decoded(batch, self.schemas) as messages:
            quarantine(messages, self.tables_dir, batch_id, self.quarantined)
            if messages.good:
                self.write(messages.records, batch_id)

    def write(self, messages: DataFrame, batch_id: int) -> None:
        """Merge the messages of a micro-batch that were decoded, at least one."""
        rows = self.rows(messages)
        self.written(self._merge_once(rows, batch_id))

    @again_on_conflict
    def _merge_once(self, rows: DataFrame, batch_id: int) -> int:
        table = DeltaTable.forPath(rows.sparkSession, self.table.path(self.tables_dir))
        with once(rows.sparkSession, self.table, batch_id):
            return self.merge(table.alias("known"), rows.alias("new"))

    @property
    @abstractmethod
    def table(self) -> Table:
        """Into which table."""

    @abstractmethod
    def rows(self, messages: DataFrame) -> DataFrame:
        """One row of the table for each identity, from Kafka's columns and RECORD."""

    @abstractmethod
    def merge(self, known: Any, new: DataFrame) -> int:
        """Merge the rows into the table (aliases ``known`` and ``new``); returns how many were inserted or changed.

        One command: it runs within ``once``.
        """
