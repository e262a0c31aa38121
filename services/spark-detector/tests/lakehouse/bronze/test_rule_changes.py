"""``bronze.rule_changes``: however micro-batches are cut, repeated or read again, there is one chain."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cardwatch_detector.lakehouse.bronze.rule_changes import Head, RuleChangeWriter, link_new
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_lakehouse.audit.chain import Content, Link, chain
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.audit.verification import verify_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import optimize, retention, vacuum
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES
from cardwatch_service.metrics import Metrics
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

COLUMNS = "topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, key BINARY, value BINARY"
CARD_NUMBER = b"4111111111111111"  # published test number

TOPIC = [Content("rules.v1", 0, offset, 1_000, b"k", b"%d" % offset) for offset in range(0, 40, 2)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20))))
def test_any_sequence_of_micro_batches_makes_the_same_chain(cuts: list[tuple[int, int]]) -> None:
    """Micro-batches that go on where the last one ended, are repeated, or begin again from an earlier offset."""
    whole, kept, until = list(chain(TOPIC)), list[Link](), 0
    for begin, length in cuts:
        start = min(begin, until)
        batch = TOPIC[start : start + length]
        heads = {("rules.v1", 0): Head(kept[-1].content.offset, kept[-1].hash)} if kept else {}
        kept += link_new(batch, heads)
        until = max(until, start + length)
    assert kept == whole[: len(kept)]
    assert len(kept) == min(until, len(TOPIC))


@pytest.mark.faults
class TestOnSpark:
    @pytest.fixture
    def tables(self, spark: SparkSession, tmp_path: Path) -> Path:
        spark.sparkContext.setLocalProperty("sql.streaming.queryId", "of-the-test")  # as within a streaming query
        create_tables(spark, str(tmp_path), [BRONZE_RULE_CHANGES])
        return tmp_path

    @staticmethod
    def write(spark: SparkSession, tables: Path, batch_id: int, rows: Sequence[tuple[object, ...]]) -> None:
        writer = RuleChangeWriter(str(tables), LakehouseMetrics(Metrics()))
        writer(spark.createDataFrame(list(rows), COLUMNS), batch_id)

    @staticmethod
    def row(offset: int, value: bytes | None = b"v", topic: str = "rules.v1") -> tuple[object, ...]:
        key = None if offset == 3 else bytearray(b"k")
        at = datetime.fromtimestamp(1_800_000_000 + offset, UTC)
        return topic, 0, offset, at, key, None if value is None else bytearray(value)

    def test_batches_repeated_and_from_another_checkpoint(self, spark: SparkSession, tables: Path) -> None:
        first = [self.row(2, None), self.row(0), self.row(1, b"\xff garbage"), self.row(0, topic="lists.v1")]
        second = [self.row(3), self.row(5, CARD_NUMBER), self.row(4)]
        self.write(spark, tables, 0, first)
        self.write(spark, tables, 0, first)
        self.write(spark, tables, 1, [])
        self.write(spark, tables, 2, second)
        spark.sparkContext.setLocalProperty("sql.streaming.queryId", "another-checkpoint")
        self.write(spark, tables, 0, [*first, *second])
        links = list(read_links(Catalog(str(tables))))
        places = [(link.content.topic, link.content.offset) for link in links]
        assert places == [("lists.v1", 0), *(("rules.v1", offset) for offset in range(6))]
        assert verify_links(links).findings == []
        assert links[3].content.value is None, "a tombstone is part of the trail"
        assert links[2].content.value == b"\xff garbage"
        assert [link.content.redacted for link in links] == [False] * 6 + [True]
        assert CARD_NUMBER not in (links[-1].content.value or b"")
        assert links[1].content.broker_time == 1_800_000_000_000_000

        # Maintenance merges and cleans files, and keeps the rows; nothing else may touch them.
        catalog = Catalog(str(tables))
        name = BRONZE_RULE_CHANGES.name
        DeltaTable(BRONZE_RULE_CHANGES.path(str(tables))).optimize.compact()
        list(optimize.optimize(catalog, name, timedelta(0)))
        vacuum.vacuum(catalog, name, timedelta(0), dry_run=False, force=True)
        assert list(read_links(catalog)) == links
        assert retention.age_of(name, {"bronze": timedelta(0)}) is None
        path = BRONZE_RULE_CHANGES.path(str(tables))
        with pytest.raises(DeltaError):
            DeltaTable(path).delete("offset = 1")
        with pytest.raises(DeltaError):
            write_deltalake(path, DeltaTable(path).to_pyarrow_table().slice(1), mode="overwrite")
        assert list(read_links(catalog)) == links
