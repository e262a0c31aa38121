"""A table that is merged from a topic: what the writers of such tables have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from cardwatch_lakehouse.tables import Table
from delta.tables import DeltaTable
from pyspark.sql import DataFrame

from cardwatch_detector.lakehouse.conflicts import again_on_conflict
from cardwatch_detector.lakehouse.decode import Decoded
from cardwatch_detector.lakehouse.topic_writer import TopicWriter
from cardwatch_detector.lakehouse.write import once


@dataclass(frozen=True)
class MergeWriter(TopicWriter):
    """Merges the messages of micro-batches into a table."""

    def write(self, messages: Decoded, batch_id: int) -> None:
        self.written(self._merge_once(self.rows(messages.records), batch_id))

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
