"""Five-minute windows equal their definition in plain Python, and DuckDB's aggregation of silver."""

import itertools
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.metrics import WriteCounter
from cardwatch_detector.lakehouse.query import LakehouseQuery
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.velocity_windows.figures import aggregate_windows
from cardwatch_detector.lakehouse.velocity_windows.query import in_progress, velocity_queries
from cardwatch_detector.lakehouse.velocity_windows.windows import LENGTH_US, ranges, refresh_velocity, velocity_windows
from cardwatch_detector.runtime.session_settings import BatchSize
from cardwatch_lakehouse.tables import GOLD_VELOCITY_5M, SILVER_TRANSACTIONS, Table
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from support.recomputed.velocity_windows import KEYS, read_windows, recompute_windows

START = datetime(2026, 6, 10, 23, 40, tzinfo=UTC)
WAIT_SECONDS = 240.0
of_window = st.fixed_dictionaries(
    {
        "window_us": st.sampled_from([0, LENGTH_US, 7 * LENGTH_US]),
        "card_token": st.sampled_from(["c1", "c2", "c3", "c4", None]),
        "merchant_id": st.sampled_from(["m1", "m2", "m3", "c1", None]),
        "country": st.sampled_from(["DE", "FR", None]),
        "merchant_category_code": st.sampled_from(["5411", "5812", None]),
        # These include sums that do not fit into 64 bits.
        "base_amount_minor": st.one_of(st.none(), st.integers(0, 10**6), st.just(2**63 - 1)),
        "declined": st.booleans(),
        "counted": st.booleans(),
    }
)
SCHEMA = pa.schema(
    [
        ("window_us", pa.int64()),
        *((column, pa.string()) for column in KEYS.values()),
        ("base_amount_minor", pa.int64()),
        ("declined", pa.bool_()),
        ("counted", pa.bool_()),
    ]
)


def by_hand(transactions: list[dict[str, Any]]) -> dict[tuple[int, str, str], dict[str, int]]:
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for transaction, (dimension, column) in itertools.product(transactions, KEYS.items()):
        if transaction[column] is not None:
            groups.setdefault((transaction["window_us"], dimension, transaction[column]), []).append(transaction)
    return {
        group: {
            "transactions": len(found),
            "base_amount_minor": sum(t["base_amount_minor"] or 0 for t in found),
            "declined_transactions": sum(t["declined"] for t in found),
            "counted_transactions": sum(t["counted"] for t in found),
            "counted_amount_minor": sum(t["base_amount_minor"] or 0 for t in found if t["counted"]),
            "distinct_cards": len({t["card_token"] for t in found} - {None}),
            "distinct_merchants": len({t["merchant_id"] for t in found} - {None}),
            "distinct_countries": len({t["country"] for t in found} - {None}),
        }
        for group, found in groups.items()
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(of_window, max_size=60), st.integers(1, 20))
def test_figures_are_as_defined(transactions: list[dict[str, Any]], batch: int) -> None:
    batches = pa.Table.from_pylist(transactions, schema=SCHEMA).to_batches(max_chunksize=batch)
    rows = [row for made in aggregate_windows(batches) for row in made.to_pylist()]
    found = {(row.pop("window_us"), row.pop("dimension"), row.pop("key")): row for row in rows}
    assert len(found) == len(rows)
    assert found == by_hand(transactions)


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(1, 30))
def test_ranges_hold_every_window(numbers: set[int], at_most: int) -> None:
    starts = sorted(number * LENGTH_US for number in numbers)
    found = ranges(starts, at_most)
    held = [start for begin, end in found for start in range(begin, end, LENGTH_US)]
    assert len(found) <= at_most
    assert held == sorted(set(held))
    assert set(starts) <= set(held)
    runs = 1 + sum(after - before > LENGTH_US for before, after in itertools.pairwise(starts))
    if runs <= at_most:
        assert held == starts


def test_the_widest_gaps_stay_open() -> None:
    starts = [number * LENGTH_US for number in (0, 2, 100, 103)]
    assert ranges(starts, 2) == [(0, 3 * LENGTH_US), (100 * LENGTH_US, 104 * LENGTH_US)]


def test_windows_in_progress_are_those_with_many_new_transactions() -> None:
    assert in_progress({0: 1, 5: 2, 10: 30, 15: 67}) == [10, 15]
    assert in_progress({0: 1}) == [0]
    assert in_progress({}) == []
    assert len(in_progress(dict.fromkeys(range(11), 5))) == 0


def silver_rows(rng: random.Random, number: int, minutes: tuple[float, float]) -> list[dict[str, Any]]:
    rows = []
    for _ in range(number):
        at = START + timedelta(minutes=rng.uniform(*minutes))
        at = rng.choice([at, at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)])
        rows.append(
            {
                "transaction_id": f"{rng.getrandbits(64)}",
                "event_time": at,
                "event_date": at.date(),
                "card_token": f"card-{rng.randrange(30)}",
                "merchant_id": f"merchant-{rng.randrange(12)}",
                "country": rng.choice(["DE", "FR", "US"]),
                "merchant_category_code": rng.choice(["5411", "5812", None]),
                "base_amount_minor": rng.choice([rng.randrange(10**6), 2**62]),
                "status": rng.choice(["approved", "approved", "declined"]),
                "transaction_type": rng.choice(["purchase", "purchase", "refund"]),
            }
        )
    return rows


def test_columns_are_the_tables(spark: SparkSession) -> None:
    schema = ", ".join(f"{name} {kind}" for name, kind in SILVER_TRANSACTIONS.columns.items())
    assert {name: kind.upper() for name, kind in velocity_windows(spark.createDataFrame([], schema)).dtypes} == dict(
        GOLD_VELOCITY_5M.columns
    )


class Lake:
    """Tables and checkpoints, and the queries as the lakehouse runs them; the test writes silver."""

    def __init__(self, spark: SparkSession, directory: Path) -> None:
        self.spark = spark
        self.tables_dir = str(directory / "tables")
        self.settings = LakehouseSettings(
            tables_dir=self.tables_dir,
            checkpoint_dir=str(directory / "checkpoints"),
            velocity_trigger="1s",
            velocity_late_trigger="1s",
        )
        create_tables(spark, self.tables_dir, [SILVER_TRANSACTIONS, GOLD_VELOCITY_5M])

    def add(self, rows: list[dict[str, Any]]) -> None:
        silver = DeltaTable(SILVER_TRANSACTIONS.path(self.tables_dir))
        write_deltalake(silver, pa.Table.from_pylist(rows, pa.schema(silver.schema().to_arrow())), mode="append")

    def queries(self, counter: WriteCounter) -> list[LakehouseQuery]:
        """The queries with the settings for many rows, even for a few rows."""
        return velocity_queries(self.settings, counter, lambda: BatchSize(many_rows=0))

    def follow(self, query: LakehouseQuery) -> None:
        """Run a query until it has done what silver holds now, starting it again whenever it fails."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            running = query.start(self.spark)
            try:
                running.processAllAvailable()
            except Exception as error:  # Spark wraps it; only the failures that the test makes may pass
                if "killed here" not in str(error) or time.monotonic() > deadline:
                    raise
            else:
                return
            finally:
                running.stop()


class KilledAfterTheCommit:
    """Fails after every third commit, the first one included."""

    def __init__(self) -> None:
        self.commits = 0

    def rows_written(self, table: Table, rows: int) -> None:
        self.commits += 1
        assert rows > 0 or self.commits > 1  # of a repeated micro-batch nothing is written
        if self.commits % 3 == 1:
            raise RuntimeError("killed here")

    def messages_quarantined(self, by_reason: Mapping[str, int]) -> None:
        raise NotImplementedError


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path)


@pytest.mark.faults
def test_the_table_equals_silver_grouped_despite_failures(lake: Lake) -> None:
    rng = random.Random(5)
    counter = KilledAfterTheCommit()
    every, ahead = lake.queries(counter)
    lake.add(silver_rows(rng, 800, (0, 12)))
    lake.follow(ahead)
    assert read_windows(lake.tables_dir) == recompute_windows(lake.tables_dir)
    for wave in (1, 2):
        lake.add(silver_rows(rng, 300, (10 * wave, 10 * wave + 10)))  # over midnight in the end
        lake.add(silver_rows(rng, 9, (-600, 10 * wave)))  # late, some of them of a window that nothing else is in
        lake.follow(every)
        assert read_windows(lake.tables_dir) == recompute_windows(lake.tables_dir)
    assert counter.commits == 5  # two of them failed after it and came again
    # All of it is done: nothing is written any more.
    before = DeltaTable(GOLD_VELOCITY_5M.path(lake.tables_dir)).version()
    lake.follow(every)
    assert DeltaTable(GOLD_VELOCITY_5M.path(lake.tables_dir)).version() == before


@pytest.mark.faults
def test_dates_are_recomputed_from_silver(lake: Lake) -> None:
    lake.add(silver_rows(random.Random(6), 300, (0, 60)))
    assert refresh_velocity(lake.spark, lake.tables_dir) == len(read_windows(lake.tables_dir))
    assert read_windows(lake.tables_dir) == recompute_windows(lake.tables_dir)
    # A card and all rows of the first day are erased.
    silver = DeltaTable(SILVER_TRANSACTIONS.path(lake.tables_dir))
    silver.delete(f"card_token = 'card-3' OR event_date = '{START.date()}'")
    dates = [START.date(), START.date() + timedelta(days=1)]
    refresh_velocity(lake.spark, lake.tables_dir, dates)
    assert read_windows(lake.tables_dir) == recompute_windows(lake.tables_dir)
    assert {row[-1] for row in read_windows(lake.tables_dir)} == {START.date() + timedelta(days=1)}
