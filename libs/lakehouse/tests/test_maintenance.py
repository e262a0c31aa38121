"""Maintenance of the tables: few files, sorted where that helps queries, old files deleted, and the same rows."""

import random
import shutil
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import Catalog, Moment
from cardwatch_lakehouse.layout import Layout, layout_of
from cardwatch_lakehouse.maintenance import retention
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict
from cardwatch_lakehouse.maintenance.files import LiveFile, Partition, measure, partitions
from cardwatch_lakehouse.maintenance.optimize import optimize
from cardwatch_lakehouse.maintenance.planning import MAX_FILES_PER_PARTITION, Action, Task, plan, target_size
from cardwatch_lakehouse.maintenance.vacuum import vacuum
from cardwatch_lakehouse.tables import ALL_TABLES, BRONZE_LATE, BRONZE_RULE_CHANGES, GOLD_ALERTS, SILVER_TRANSACTIONS
from deltalake import DeltaTable
from support.delta_tables import CARD, NOON, bronze_row, silver_row, write_rows

SILVER = SILVER_TRANSACTIONS.name
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
AT_ONCE, SETTLED = timedelta(0), timedelta(hours=2)
MB, GB = 1 << 20, 1 << 30
BY_CARD = Layout(order=("card_token",))


def rows_of(lake: Path, name: str) -> list[Any]:
    return sorted(DeltaTable(str(lake / name.replace(".", "/"))).to_pyarrow_table().to_pylist(), key=repr)


def file(size: int, low: str = "0", high: str = "f", age: timedelta = timedelta(days=1)) -> LiveFile:
    return LiveFile("p", size, NOW - age, low, high)


def planned(files: Sequence[LiveFile], layout: Layout = BY_CARD, day: str = "2026-11-20", in_order: bool = True) -> Any:
    partition = Partition({"event_date": date.fromisoformat(day)}, files)
    found: list[Task] = list(plan([partition], layout, now=NOW, settled_after=SETTLED, in_order=lambda _: in_order))
    return found[0].action if found else None


def test_a_past_day_is_sorted_when_nobody_writes_to_it() -> None:
    in_order_of_time = [file(100 * MB) for _ in range(4)]
    assert planned(in_order_of_time) is Action.ORDER
    assert planned([*in_order_of_time, file(MB, age=timedelta(hours=1))]) is None, "somebody has just written"
    assert planned(in_order_of_time, day="2026-11-25") is None, "today"
    assert planned(in_order_of_time, Layout(), day="2026-11-20") is None, "nothing to gain"


def test_a_sorted_day_stays_until_enough_late_rows_arrived() -> None:
    in_order = [file(100 * MB, *bounds) for bounds in (("0", "5"), ("5", "a"), ("a", "f"))]
    assert planned(in_order) is None
    assert planned([*in_order, file(MB)]) is None
    assert planned([*in_order, *[file(MB)] * 48]) is Action.ORDER, "more files than there may be"
    assert planned([*in_order, file(50 * MB)]) is Action.ORDER
    late = [file(MB, age=timedelta(minutes=1))] * 20
    assert planned([*in_order, *late]) is None, "joined, they would be out of order"


@pytest.mark.parametrize(("in_order", "action"), [(True, None), (False, Action.ORDER)])
def test_the_footer_of_a_single_file_shows_whether_it_is_sorted(in_order: bool, action: Action | None) -> None:
    assert planned([file(10 * MB)], in_order=in_order) is action


def test_small_files_of_the_current_day_are_joined_when_there_are_many() -> None:
    small = [file(MB, age=timedelta(minutes=1))]
    assert planned(small * 15, day="2026-11-25") is None
    assert planned(small * 16, day="2026-11-25") is Action.JOIN
    one_card_each = [file(MB, f"{n:02}", f"{n:02}", timedelta(minutes=1)) for n in range(60)]
    assert planned(one_card_each, day="2026-11-25") is Action.JOIN, "files with different ranges are not sorted files"
    assert planned([file(MB)] * 2, Layout()) is Action.JOIN, "a past day: there will not be more of them"


@pytest.mark.parametrize("size", [MB, GB, 50 * GB, 500 * GB])
def test_a_large_day_has_few_full_files(size: int) -> None:
    # Joining leaves files at least half full, but for those that are not worth joining yet.
    assert 2 * size / target_size(size) + 10 <= MAX_FILES_PER_PARTITION


def joined(files: Sequence[LiveFile], target: int) -> list[LiveFile]:
    """The files into which the library joins small files: each takes the next ones until it would be too large."""
    bins: list[list[LiveFile]] = []
    room = 0
    for small in (one for one in files if one.size <= target):
        if small.size > room:
            bins.append([])
            room = target
        bins[-1].append(small)
        room -= small.size
    made = [LiveFile("p", sum(one.size for one in some), max(one.written for one in some), "0", "f") for some in bins]
    return [*(one for one in files if one.size > target), *made]


@pytest.mark.parametrize(("a_second", "hours"), [(5, 1), (200, 1), (1000, 0.25), (1000, 1), (5000, 1), (100_000, 6)])
def test_maintenance_keeps_files_few_over_a_day_of_micro_batches(a_second: int, hours: float) -> None:
    start, every, trigger = datetime(2026, 11, 25, tzinfo=UTC), timedelta(hours=hours), timedelta(seconds=2)
    bytes_of_a_transaction = 120
    files: list[LiveFile] = []
    now = start
    while now < start + timedelta(days=1) - every:
        for number in range(every // trigger):
            size = a_second * bytes_of_a_transaction * trigger // timedelta(seconds=1)
            files.append(LiveFile("p", size, now + number * trigger, "0", "f"))
        now += every
        partition = Partition({"event_date": start.date()}, files)
        for task in plan([partition], BY_CARD, now=now, settled_after=SETTLED, in_order=lambda _: False):
            assert task.action is Action.JOIN
            files = joined(files, task.target_size)
        assert len(files) <= MAX_FILES_PER_PARTITION


def test_every_layout_is_of_columns() -> None:
    for table in ALL_TABLES:
        layout = layout_of(table.name)
        assert {*layout.order, *filter(None, [layout.time])} <= set(table.columns), table.name
        if table is BRONZE_RULE_CHANGES:
            assert not layout.time, "no retention may remove rows of the audit trail"
        else:
            assert layout.time, f"{table.name} has no time column for its retention"


@pytest.fixture(scope="module")
def written_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 micro-batches of silver on a past day, each with 20 cards, and 30 of an unpartitioned table."""
    lake, rng = tmp_path_factory.mktemp("lake"), random.Random(1)
    for batch in range(60):
        write_rows(
            lake, SILVER_TRANSACTIONS, *(silver_row(100 * batch + n, rng.randbytes(16).hex()) for n in range(20))
        )
    for batch in range(30):
        write_rows(lake, BRONZE_LATE, bronze_row(batch, b"late"))
    return lake


@pytest.fixture
def lake(written_lake: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    return Path(shutil.copytree(written_lake, tmp_path / "lake"))


def test_maintenance_joins_files_keeps_rows_and_is_idempotent(lake: Path) -> None:
    catalog = Catalog(str(lake))
    before = {name: rows_of(lake, name) for name in catalog.names()}
    assert measure(catalog.open(SILVER)).most == 60
    done = [one for name in before for one in optimize(catalog, name, AT_ONCE)]
    assert [(one.table, one.action, one.after) for one in done] == [
        (BRONZE_LATE.name, Action.JOIN, 1),
        (SILVER, Action.ORDER, 1),
    ]
    assert {name: rows_of(lake, name) for name in before} == before
    tokens = DeltaTable(str(lake / "silver/transactions")).to_pyarrow_table()["card_token"].to_pylist()
    assert tokens == sorted(tokens)
    assert [one for name in before for one in optimize(catalog, name, AT_ONCE)] == []


def test_files_of_the_current_day_have_bloom_filters_of_the_cards(lake: Path) -> None:
    (done,) = optimize(Catalog(str(lake)), SILVER, settled_after=timedelta(days=10_000))
    assert (done.action, done.after) == (Action.JOIN, 1)
    silver = DeltaTable(str(lake / "silver/transactions"))
    (path,) = silver.file_uris()

    def left_out(card: str) -> bool:
        probe = "SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe(?, 'card_token', ?)"
        (answer,) = duckdb.execute(probe, [path, card]).fetchone() or (None,)
        return bool(answer)

    there = silver.to_pyarrow_table()["card_token"].to_pylist()
    assert len(there) == 1200
    assert not any(left_out(card) for card in there)
    rng = random.Random(2)
    assert sum(left_out(rng.randbytes(16).hex()) for _ in range(200)) >= 190


def test_files_and_bounds_of_partitions_are_read_from_the_log(lake: Path) -> None:
    (one,) = partitions(Catalog(str(lake)).open(SILVER), "card_token")
    assert str(one) == "event_date=2024-11-20"
    assert len(one.files) == 60
    assert all(file.low < file.high for file in one.files)


def test_concurrent_appends_and_maintenance_do_not_disturb_each_other(lake: Path) -> None:
    catalog, stop = Catalog(str(lake)), threading.Event()
    appended = 0

    def append() -> None:
        nonlocal appended
        while not stop.is_set():
            # Unlike Spark, delta-rs treats an append as a conflict with a deletion.
            for table, row in (
                (SILVER_TRANSACTIONS, silver_row(100_000 + appended, CARD)),
                (BRONZE_LATE, bronze_row(100_000 + appended, b"late")),
            ):
                retry_maintenance_on_conflict(lambda table=table, row=row: write_rows(lake, table, row))
            appended += 1

    writer = threading.Thread(target=append)
    writer.start()
    try:
        rounds = 0
        while rounds < 3 or (appended <= 3 and writer.is_alive()):
            for name in (SILVER, BRONZE_LATE.name):
                list(optimize(catalog, name, AT_ONCE))
            catalog.open(BRONZE_LATE.name).delete('"offset" = 3')
            rounds += 1
    finally:
        stop.set()
        writer.join()
    assert appended > 3
    assert len(rows_of(lake, SILVER)) == 60 * 20 + appended
    assert len(rows_of(lake, BRONZE_LATE.name)) == 30 - 1 + appended


def test_vacuum_keeps_what_earlier_versions_need(lake: Path) -> None:
    catalog = Catalog(str(lake))
    list(optimize(catalog, SILVER, AT_ONCE))
    assert vacuum(catalog, SILVER) == []
    assert catalog.open(SILVER, Moment(version=5)).count() == 120
    with pytest.raises(ConfigurationError, match="kept for at least 1 day: running queries"):
        vacuum(catalog, SILVER, AT_ONCE)
    assert len(vacuum(catalog, SILVER, AT_ONCE, dry_run=True, force=True)) == 60
    vacuum(catalog, SILVER, AT_ONCE, force=True)
    assert len(list((lake / "silver/transactions").rglob("*.parquet"))) == 1
    assert len(rows_of(lake, SILVER)) == 1200


def test_rows_are_deleted_when_they_are_too_old(tmp_path: Path) -> None:
    catalog, year = Catalog(str(tmp_path)), timedelta(days=365)
    for days in (0, 31, 400):
        at = NOON - timedelta(days=days)
        write_rows(tmp_path, SILVER_TRANSACTIONS, silver_row(days, CARD, event_date=at.date(), event_time=at))
        write_rows(tmp_path, GOLD_ALERTS, {"alert_id": str(days), "event_time": at})
    ages = {"silver": year, "bronze": year}
    assert retention.age_of(GOLD_ALERTS.name, ages) is None, "gold stays for ever"
    assert retention.older_than(catalog, SILVER, year, NOON)[0] == 1
    assert retention.retain(catalog, SILVER, year, NOON) == 1
    assert retention.retain(catalog, SILVER, year, NOON) == 0
    assert len(rows_of(tmp_path, SILVER)) == 2
    assert retention.retain(catalog, GOLD_ALERTS.name, timedelta(days=31), NOON + timedelta(seconds=1)) == 2
