"""Replication from Delta to Snowflake: first load, increments and interruptions."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from cardwatch_lakehouse.tables import ALL_TABLES, Table

THINGS: Final = Table(
    "gold.things",
    {
        "id": "STRING",
        "day": "DATE",
        "key": "STRING",  # reserved in some dialects
        "at": "TIMESTAMP",
        "number": "BIGINT",
        "sum": "DECIMAL(38,0)",
        "mean": "DOUBLE",
        "measures": "ARRAY<STRUCT<name: STRING, value: DOUBLE, value_long: BIGINT>>",
        "names": "ARRAY<STRING>",
    },
    partitioned_by=("day",),
    key=("id", "day"),
)
MONDAY: Final = date(2026, 11, 23)
TUESDAY: Final = date(2026, 11, 24)


def thing(id: str, number: int = 1, day: date = MONDAY, **other: Any) -> dict[str, Any]:
    return {
        "id": id,
        "day": day,
        "key": f'it\'s "{id}" ü',
        "at": datetime(2026, 11, 23, 12, 0, 0, 123456, UTC),
        "number": number,
        "sum": Decimal(10**18 + number),
        "mean": 0.1,
        "measures": [
            {"name": "count", "value": 5.0, "value_long": 9_007_199_254_740_993},
            {"name": "mean", "value": 0.1, "value_long": None},
        ],
        "names": ["a", None],
        **other,
    }


Make = Callable[..., Any]


def test_first_load_and_increments(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(
        THINGS, [thing("a"), thing("b"), thing("c", day=TUESDAY), thing("d", names=None, measures=[])]
    )
    replication.catch_up()
    replication.check_equal()
    recorded = replication.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (4, 0)
    assert recorded["LOADED_AT"] is not None
    assert "THINGS__LOADING" not in replication.account.tables()

    replication.lake.merge(THINGS, [thing("b", 2), thing("e")])  # one changed, one new; files rewritten around them
    replication.lake.delta(THINGS).delete("id = 'a'")
    replication.catch_up()
    replication.check_equal()
    recorded = replication.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (2, 1)
    assert replication.account.query('SELECT COUNT(*) FROM "THINGS__STAGED"') == [(0,)]


def test_only_changed_rows_of_a_rewritten_partition_are_uploaded(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b"), thing("c"), thing("d", day=TUESDAY)])
    replication.catch_up()
    replication.lake.replace(THINGS, [thing("a"), thing("b", 7), thing("new")], "day = '2026-11-23'")
    replication.catch_up()
    replication.check_equal()
    recorded = replication.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (2, 1)  # b, new; c


def test_of_several_changes_of_a_row_the_last_counts(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b"), thing("c")])
    replication.catch_up()
    for number in (2, 3, 1):  # c comes back to what it was
        replication.lake.merge(THINGS, [thing("c", number)])
    replication.lake.delta(THINGS).delete("id = 'a'")
    replication.lake.write(THINGS, [thing("a", 5), thing("x")])
    replication.lake.delta(THINGS).delete("id = 'x'")  # never was in Snowflake
    replication.catch_up()
    replication.check_equal()


def test_commits_are_loaded_a_limited_number_of_rows_at_a_time(make_replication: Make) -> None:
    replication = make_replication(THINGS, chunk_rows=2)
    replication.lake.write(THINGS, [thing("a")])
    replication.catch_up()
    for start in range(4):
        replication.lake.write(THINGS, [thing(f"n{start}-{n}") for n in range(2)])
    replication.account.statements.clear()
    replication.catch_up()
    replication.check_equal()
    assert sum(statement.startswith("COPY") for statement in replication.account.statements) == 4


def test_optimize_does_not_count_as_a_change(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    for name in "abc":
        replication.lake.write(THINGS, [thing(name)])
    replication.catch_up()
    assert replication.lake.delta(THINGS).optimize.compact()["numFilesRemoved"] == 3
    replication.account.statements.clear()
    replication.catch_up()
    replication.check_equal()
    assert not [statement for statement in replication.account.statements if statement.startswith(("PUT", "COPY"))]
    assert not [statement for statement in replication.account.statements if 'INTO "THINGS"' in statement]

    # What OPTIMIZE wrote is then what a change is compared with.
    replication.lake.merge(THINGS, [thing("b", 2)])
    replication.catch_up()
    replication.check_equal()
    assert replication.account.recorded(THINGS)["ROWS_UPSERTED"] == 1


def test_a_table_that_was_created_again_is_loaded_whole(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b")])
    replication.catch_up()
    shutil.rmtree(replication.lake.path(THINGS))
    replication.lake.write(THINGS, [thing("b", 2), thing("c")])  # version 0 again: only the id tells
    replication.catch_up()
    replication.check_equal()


@pytest.mark.parametrize("what", ["files", "log"])
def test_without_history_the_whole_table_is_loaded(make_replication: Make, what: str) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b")])
    replication.catch_up()
    replication.lake.merge(THINGS, [thing("b", 2), thing("c")])
    replication.lake.delta(THINGS).delete("id = 'a'")
    if what == "files":
        replication.lake.vacuum(THINGS)
    else:
        replication.lake.delta(THINGS).create_checkpoint()
        for version in (0, 1):
            (replication.lake.directory / "gold/things/_delta_log" / f"{version:020d}.json").unlink()
    replication.account.statements.clear()
    replication.catch_up()
    replication.check_equal()
    assert any(
        statement.startswith("CREATE OR REPLACE TRANSIENT TABLE") for statement in replication.account.statements
    )


def test_a_large_table_comes_in_chunks_and_readers_see_it_at_once(make_replication: Make) -> None:
    replication = make_replication(THINGS, chunk_rows=3)
    for number in range(4):
        replication.lake.write(THINGS, [thing(f"{number}-{n}") for n in range(2)])
    service, warehouse = replication.service()
    seen = []
    more = True
    while more:
        more = service.round()
        seen.append((replication.account.recorded(THINGS)["SNAPSHOT_ROWS"], "THINGS" in replication.account.tables()))
    warehouse.disconnect()
    assert seen == [(0, False), (4, False), (None, True)]
    replication.check_equal()


def test_a_chunked_load_continues_after_a_restart(make_replication: Make) -> None:
    replication = make_replication(THINGS, chunk_rows=1)
    for number in range(3):
        replication.lake.write(THINGS, [thing(str(number))])
    service, warehouse = replication.service()
    assert service.round()
    assert service.round()
    warehouse.disconnect()
    replication.lake.write(THINGS, [thing("later")])  # the load stays at the version that it began with
    replication.account.statements.clear()
    replication.catch_up()
    replication.check_equal()
    copied = [
        statement for statement in replication.account.statements if statement.startswith('COPY INTO "THINGS__LOADING"')
    ]
    assert len(copied) == 2  # of three chunks, one was there already


def test_a_loading_table_that_was_tampered_with_is_filled_again(make_replication: Make) -> None:
    replication = make_replication(THINGS, chunk_rows=1)
    for number in range(3):
        replication.lake.write(THINGS, [thing(str(number))])
    service, warehouse = replication.service()
    service.round()
    service.round()
    warehouse.disconnect()
    replication.account.query('DELETE FROM "THINGS__LOADING"')
    replication.catch_up()
    replication.check_equal()


def test_vacuum_in_the_middle_of_a_chunked_load(make_replication: Make) -> None:
    replication = make_replication(THINGS, chunk_rows=1)
    for number in range(3):
        replication.lake.write(THINGS, [thing(str(number))])
    service, warehouse = replication.service()
    service.round()
    service.round()
    warehouse.disconnect()
    replication.lake.delta(THINGS).optimize.compact()
    replication.lake.vacuum(THINGS)
    replication.catch_up()
    replication.check_equal()


def test_new_columns_are_added(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b")])
    replication.catch_up()
    replication.lake.merge(THINGS, [thing("b", 2)])  # makes the table for staged rows, without the new columns
    replication.catch_up()
    wider = Table(
        THINGS.name,
        {**THINGS.columns, "label": "STRING", "more": "ARRAY<STRING>"},
        THINGS.partitioned_by,
        key=THINGS.key,
    )
    replication.lake.write(wider, [thing("c", label="fraud", more=["x"])], schema_mode="merge")
    replication.tables = [wider]
    replication.catch_up()
    replication.check_equal()
    assert {row["LABEL"] for row in replication.account.rows(wider)} == {None, "fraud"}


def test_numbers_that_json_cannot_write_become_null(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    bad = [{"name": "mean", "value": float("nan"), "value_long": None}, None]
    replication.lake.write(THINGS, [thing("a", measures=bad)])
    replication.catch_up()
    (row,) = replication.account.rows(THINGS)
    assert row["MEASURES"] == [{"name": "mean", "value": None, "value_long": None}, None]


def test_partitions_that_are_null(make_replication: Make) -> None:
    only_id = Table(THINGS.name, THINGS.columns, THINGS.partitioned_by, key=("id",))
    replication = make_replication(only_id)
    replication.lake.write(only_id, [thing("a", day=None)])
    replication.catch_up()
    replication.lake.merge(only_id, [thing("a", 2, day=None), thing("b", day=None)])
    replication.catch_up()
    replication.check_equal()


def test_a_round_without_changes_sends_no_statement(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a")])
    service, warehouse = replication.service()
    while service.round():
        pass
    replication.account.statements.clear()
    assert not service.round()
    assert replication.account.statements == []
    warehouse.disconnect()


def test_a_reload_is_noticed(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a"), thing("b")])
    service, warehouse = replication.service()
    while service.round():
        pass
    replication.account.query("DELETE FROM THINGS WHERE ID = 'a'")  # what a reload is good for
    assert warehouse.forget_progress(THINGS.name)
    assert not warehouse.forget_progress("gold.nothing")
    replication.seconds += 3601
    while service.round():
        pass
    warehouse.disconnect()
    replication.check_equal()


def test_two_loaders_do_not_undo_each_other(make_replication: Make) -> None:
    replication = make_replication(THINGS)
    replication.lake.write(THINGS, [thing("a")])
    first, first_warehouse = replication.service()
    while first.round():
        pass
    replication.lake.merge(THINGS, [thing("a", 2), thing("b")])
    replication.catch_up()  # another one was faster
    replication.lake.merge(THINGS, [thing("b", 3)])
    while first.round():
        """The loader expects version 0, is refused, and continues from the recorded progress."""
    first_warehouse.disconnect()
    replication.check_equal()
    assert replication.account.recorded(THINGS)["ROWS_UPSERTED"] == 1


@pytest.mark.faults
@pytest.mark.parametrize("table", [table for table in ALL_TABLES if table.name.startswith("gold.")])
def test_every_gold_table_is_replicated_unchanged(make_replication: Make, table: Table) -> None:
    replication = make_replication(table)
    replication.lake.write(table, [sample(table, n) for n in range(3)])
    replication.catch_up()
    replication.lake.merge(table, [sample(table, n, salt=7) for n in range(2, 5)])
    replication.catch_up()
    replication.check_equal()


def sample(table: Table, n: int, salt: int = 0) -> dict[str, Any]:
    """A row with a value in every column; its key depends on ``n`` only."""
    return {name: _value(kind, n if name in table.key else n + salt) for name, kind in table.columns.items()}


def _value(kind: str, n: int) -> Any:
    if kind.startswith("ARRAY<STRUCT<"):
        fields = [part.split(":") for part in kind[len("ARRAY<STRUCT<") : -2].split(", ")]
        return [{name.strip(): _value(of.strip(), n) for name, of in fields}]
    if kind.startswith("ARRAY<"):
        return [_value(kind[len("ARRAY<") : -1], n + i) for i in range(n)]
    if kind.startswith("DECIMAL"):
        return Decimal(10**18 + n)
    return {
        "STRING": f"text {n}",
        "INT": n,
        "BIGINT": 2**60 + n,
        "DOUBLE": n + 0.1,
        "BOOLEAN": n % 2 == 0,
        "DATE": date(2026, 1, 1 + n),
        "TIMESTAMP": datetime(2026, 1, 1, n % 24, 0, 0, 1, UTC),
    }[kind]
