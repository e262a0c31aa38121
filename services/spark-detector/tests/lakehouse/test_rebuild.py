"""Rebuilding silver from enriched messages: which of several messages about a transaction counts, and its columns."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pytest
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.io.idempotent_writes import (
    WriteId,
    append,
    count_affected,
    idempotent_command,
    replace_rows,
)
from cardwatch_detector.lakehouse.rebuild import make_profiles, silver_rows
from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS, Table
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from support.records import enriched_record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR_US = 3_600_000_000
COLUMNS = ", ".join(f"`{name}` {kind}" for name, kind in SILVER_TRANSACTIONS.columns.items())
OF_THE_RUN = ("enriched_at", "silver_partition", "silver_offset", "silver_broker_time")


def row(identity: str, offset: int, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    """A transaction in the message at an offset, ``seconds`` after noon."""
    usual = enriched_record(event_time=0)
    at = NOON + fields.pop("later", timedelta())
    return {
        **{name: usual.get(name) for name in SILVER_TRANSACTIONS.columns},
        "transaction_id": identity,
        "event_time": at,
        "event_date": at.date(),
        "raw_topic": "raw",
        "raw_partition": 0,
        "raw_offset": offset,
        "raw_broker_time": NOON + timedelta(seconds=seconds),
        **dict.fromkeys(OF_THE_RUN),
        **fields,
    }


def known(identity: str, offset: int, **fields: Any) -> dict[str, Any]:
    facts = {"enriched_at": NOON, "silver_partition": 1, "silver_offset": 100 + offset, "silver_broker_time": NOON}
    return row(identity, offset, **facts, **fields)


def column(tables: str, table: Table, name: str) -> list[Any]:
    """What a table holds in a column, sorted; without Spark, which takes longer to begin."""
    return sorted(deltalake.DeltaTable(table.path(tables)).to_pyarrow_table(columns=[name])[name].to_pylist())


def rebuilt(spark: SparkSession, staged: list[dict[str, Any]], before: list[dict[str, Any]] | None) -> Any:
    frame = spark.createDataFrame(staged, COLUMNS).drop("enriched_at", "event_date", *OF_THE_RUN)
    old = None if before is None else spark.createDataFrame(before, COLUMNS)
    rows = silver_rows(frame, old, HOUR_US)
    assert rows.columns == list(SILVER_TRANSACTIONS.columns)
    return sorted(
        (found["transaction_id"], found["raw_offset"], found["silver_offset"], found["event_date"])
        for found in rows.collect()
    )


def test_the_message_of_the_original_run_counts_else_the_first(spark: SparkSession) -> None:
    day = NOON.date()
    staged = [
        row("once", 1),
        *(row("twice", 2, seconds=9), row("twice", 3, seconds=5)),
        # Silver took the later one: it came through another partition of the topic.
        *(row("other", 4, seconds=1), row("other", 5, seconds=2)),
        # So far apart that they are two.
        *(row("apart", 6), row("apart", 7, later=timedelta(hours=26)), row("apart", 8, seconds=1)),
    ]
    assert rebuilt(spark, staged, [known("once", 1), known("other", 5)]) == [
        ("apart", 6, None, day),
        ("apart", 7, None, day + timedelta(days=1)),
        ("once", 1, 101, day),
        ("other", 5, 105, day),
        ("twice", 3, None, day),
    ]
    assert ("other", 4, None, day) in rebuilt(spark, staged, None)


@pytest.mark.faults
def test_profiles_are_computed_for_settled_days(spark: SparkSession, tmp_path: Path) -> None:
    tables = str(tmp_path)
    create_tables(spark, tables, [SILVER_TRANSACTIONS, GOLD_CARD_DAYS, GOLD_CARD_PROFILE])
    make_profiles(spark, tables, HOUR_US, 3)
    ahead = {"status": "approved", "transaction_type": "purchase"}
    silver = [row(f"t{day}", day, later=timedelta(days=day), **ahead) for day in range(3)]
    spark.createDataFrame(silver, COLUMNS).write.format("delta").mode("append").save(SILVER_TRANSACTIONS.path(tables))
    make_profiles(spark, tables, HOUR_US, 3)

    first = NOON.date()
    assert column(tables, GOLD_CARD_DAYS, "day") == [first, first + timedelta(days=1)]
    assert column(tables, GOLD_CARD_PROFILE, "valid_on") == [first + timedelta(days=2), first + timedelta(days=3)]


@pytest.fixture
def in_query(spark: SparkSession) -> Iterator[None]:
    """As if within a micro-batch of a streaming query."""
    spark.sparkContext.setLocalProperty("sql.streaming.queryId", "query")
    yield
    spark.sparkContext.setLocalProperty("sql.streaming.queryId", None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("in_query")
@pytest.mark.faults
def test_every_kind_of_write_is_idempotent(spark: SparkSession, tmp_path: Path) -> None:
    tables, table = str(tmp_path), GOLD_CARD_DAYS
    create_tables(spark, tables, [table])
    columns = ", ".join(f"`{name}` {kind}" for name, kind in table.columns.items())

    def days(card: str) -> Any:
        blank = dict.fromkeys(table.columns)
        return spark.createDataFrame([{**blank, "card_token": card, "day": NOON.date()}], columns)

    def merge(card: str, batch_id: int) -> int:
        known_rows = DeltaTable.forPath(spark, table.path(tables)).alias("known")
        with idempotent_command(spark, table, WriteId(batch_id, "merge")):
            merged = known_rows.merge(days(card).alias("new"), "known.card_token = new.card_token")
            return count_affected(merged.whenNotMatchedInsertAll().execute(), "num_inserted_rows")

    def cards() -> list[str]:
        return column(tables, table, "card_token")

    append(days("a"), table, tables, WriteId(0))
    append(days("b"), table, tables, WriteId(0))
    assert cards() == ["a"]
    assert (merge("b", 0), merge("c", 0)) == (1, 0)
    # One that changes nothing is known afterwards all the same.
    assert (merge("b", 1), merge("c", 1)) == (0, 0)
    assert cards() == ["a", "b"]
    append(days("c"), table, tables, WriteId(1))  # nothing of that is left in the session
    assert cards() == ["a", "b", "c"]

    def replace(card: str, write_id: WriteId | None) -> int:
        this_day = f"day = DATE'{NOON.date()}'"
        return replace_rows(days(card), table, tables, predicate=this_day, write_id=write_id)

    assert [replace(card, WriteId(0, "replace")) for card in "xy"] == [1, 0]
    assert cards() == ["x"]
    assert replace("y", WriteId(0, "another part")) == 1
    assert [replace(card, None) for card in "zz"] == [1, 1]


def test_no_identity_outside_a_query(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="outside"), idempotent_command(spark, SILVER_TRANSACTIONS, WriteId(0)):
        pytest.fail("not reached")
