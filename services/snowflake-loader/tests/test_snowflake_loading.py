"""Delta to Snowflake and back to equality: first load, increments, and everything that can come between."""

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


def test_first_load_and_increments(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b"), thing("c", day=TUESDAY), thing("d", names=None, measures=[])])
    line.catch_up()
    line.check_equal()
    recorded = line.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (4, 0)
    assert recorded["LOADED_AT"] is not None
    assert "THINGS__LOADING" not in line.account.tables()

    line.lake.merge(THINGS, [thing("b", 2), thing("e")])  # one changed, one new; files rewritten around them
    line.lake.delta(THINGS).delete("id = 'a'")
    line.catch_up()
    line.check_equal()
    recorded = line.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (2, 1)
    assert line.account.query('SELECT COUNT(*) FROM "THINGS__STAGED"') == [(0,)]


def test_only_what_changed_in_a_rewritten_partition_travels(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b"), thing("c"), thing("d", day=TUESDAY)])
    line.catch_up()
    line.lake.replace(THINGS, [thing("a"), thing("b", 7), thing("new")], "day = '2026-11-23'")
    line.catch_up()
    line.check_equal()
    recorded = line.account.recorded(THINGS)
    assert (recorded["ROWS_UPSERTED"], recorded["ROWS_DELETED"]) == (2, 1)  # b, new; c


def test_of_several_changes_of_a_row_the_last_counts(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b"), thing("c")])
    line.catch_up()
    for number in (2, 3, 1):  # c comes back to what it was
        line.lake.merge(THINGS, [thing("c", number)])
    line.lake.delta(THINGS).delete("id = 'a'")
    line.lake.write(THINGS, [thing("a", 5), thing("x")])
    line.lake.delta(THINGS).delete("id = 'x'")  # never was in Snowflake
    line.catch_up()
    line.check_equal()


def test_commits_are_loaded_a_limited_number_of_rows_at_a_time(make_line: Make) -> None:
    line = make_line(THINGS, chunk_rows=2)
    line.lake.write(THINGS, [thing("a")])
    line.catch_up()
    for start in range(4):
        line.lake.write(THINGS, [thing(f"n{start}-{n}") for n in range(2)])
    line.account.statements.clear()
    line.catch_up()
    line.check_equal()
    assert sum(statement.startswith("COPY") for statement in line.account.statements) == 4


def test_optimize_is_no_change(make_line: Make) -> None:
    line = make_line(THINGS)
    for name in "abc":
        line.lake.write(THINGS, [thing(name)])
    line.catch_up()
    assert line.lake.delta(THINGS).optimize.compact()["numFilesRemoved"] == 3
    line.account.statements.clear()
    line.catch_up()
    line.check_equal()
    assert not [statement for statement in line.account.statements if statement.startswith(("PUT", "COPY"))]
    assert not [statement for statement in line.account.statements if 'INTO "THINGS"' in statement]

    # What OPTIMIZE wrote is then what a change is compared with.
    line.lake.merge(THINGS, [thing("b", 2)])
    line.catch_up()
    line.check_equal()
    assert line.account.recorded(THINGS)["ROWS_UPSERTED"] == 1


def test_a_table_that_was_made_anew_is_loaded_whole(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b")])
    line.catch_up()
    shutil.rmtree(line.lake.path(THINGS))
    line.lake.write(THINGS, [thing("b", 2), thing("c")])  # version 0 again: only the id tells
    line.catch_up()
    line.check_equal()


@pytest.mark.parametrize("what", ["files", "log"])
def test_without_history_the_whole_table_is_loaded(make_line: Make, what: str) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b")])
    line.catch_up()
    line.lake.merge(THINGS, [thing("b", 2), thing("c")])
    line.lake.delta(THINGS).delete("id = 'a'")
    if what == "files":
        line.lake.vacuum(THINGS)
    else:
        line.lake.delta(THINGS).create_checkpoint()
        for version in (0, 1):
            (line.lake.directory / "gold/things/_delta_log" / f"{version:020d}.json").unlink()
    line.account.statements.clear()
    line.catch_up()
    line.check_equal()
    assert any(statement.startswith("CREATE OR REPLACE TRANSIENT TABLE") for statement in line.account.statements)


def test_a_large_table_comes_in_chunks_and_readers_see_it_at_once(make_line: Make) -> None:
    line = make_line(THINGS, chunk_rows=3)
    for number in range(4):
        line.lake.write(THINGS, [thing(f"{number}-{n}") for n in range(2)])
    service, warehouse = line.service()
    seen = []
    more = True
    while more:
        more = service.round()
        seen.append((line.account.recorded(THINGS)["SNAPSHOT_ROWS"], "THINGS" in line.account.tables()))
    warehouse.disconnect()
    assert seen == [(0, False), (4, False), (None, True)]
    line.check_equal()


def test_a_chunked_load_goes_on_where_it_was(make_line: Make) -> None:
    line = make_line(THINGS, chunk_rows=1)
    for number in range(3):
        line.lake.write(THINGS, [thing(str(number))])
    service, warehouse = line.service()
    assert service.round()
    assert service.round()
    warehouse.disconnect()
    line.lake.write(THINGS, [thing("later")])  # the load stays at the version that it began with
    line.account.statements.clear()
    line.catch_up()
    line.check_equal()
    copied = [statement for statement in line.account.statements if statement.startswith('COPY INTO "THINGS__LOADING"')]
    assert len(copied) == 2  # of three chunks, one was there already


def test_a_loading_table_that_was_tampered_with_is_filled_anew(make_line: Make) -> None:
    line = make_line(THINGS, chunk_rows=1)
    for number in range(3):
        line.lake.write(THINGS, [thing(str(number))])
    service, warehouse = line.service()
    service.round()
    service.round()
    warehouse.disconnect()
    line.account.query('DELETE FROM "THINGS__LOADING"')
    line.catch_up()
    line.check_equal()


def test_vacuum_in_the_middle_of_a_chunked_load(make_line: Make) -> None:
    line = make_line(THINGS, chunk_rows=1)
    for number in range(3):
        line.lake.write(THINGS, [thing(str(number))])
    service, warehouse = line.service()
    service.round()
    service.round()
    warehouse.disconnect()
    line.lake.delta(THINGS).optimize.compact()
    line.lake.vacuum(THINGS)
    line.catch_up()
    line.check_equal()


def test_new_columns_are_added(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b")])
    line.catch_up()
    line.lake.merge(THINGS, [thing("b", 2)])  # makes the table for staged rows, without the new columns
    line.catch_up()
    wider = Table(
        THINGS.name,
        {**THINGS.columns, "label": "STRING", "more": "ARRAY<STRING>"},
        THINGS.partitioned_by,
        key=THINGS.key,
    )
    line.lake.write(wider, [thing("c", label="fraud", more=["x"])], schema_mode="merge")
    line.tables = [wider]
    line.catch_up()
    line.check_equal()
    assert {row["LABEL"] for row in line.account.rows(wider)} == {None, "fraud"}


def test_numbers_that_json_has_not_become_null(make_line: Make) -> None:
    line = make_line(THINGS)
    bad = [{"name": "mean", "value": float("nan"), "value_long": None}, None]
    line.lake.write(THINGS, [thing("a", measures=bad)])
    line.catch_up()
    (row,) = line.account.rows(THINGS)
    assert row["MEASURES"] == [{"name": "mean", "value": None, "value_long": None}, None]


def test_partitions_that_are_null(make_line: Make) -> None:
    only_id = Table(THINGS.name, THINGS.columns, THINGS.partitioned_by, key=("id",))
    line = make_line(only_id)
    line.lake.write(only_id, [thing("a", day=None)])
    line.catch_up()
    line.lake.merge(only_id, [thing("a", 2, day=None), thing("b", day=None)])
    line.catch_up()
    line.check_equal()


def test_nothing_new_costs_no_statement(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a")])
    service, warehouse = line.service()
    while service.round():
        pass
    line.account.statements.clear()
    assert not service.round()
    assert line.account.statements == []
    warehouse.disconnect()


def test_a_reload_is_noticed(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a"), thing("b")])
    service, warehouse = line.service()
    while service.round():
        pass
    line.account.query("DELETE FROM THINGS WHERE ID = 'a'")  # what a reload is good for
    assert warehouse.forget_progress(THINGS.name)
    assert not warehouse.forget_progress("gold.nothing")
    line.seconds += 3601
    while service.round():
        pass
    warehouse.disconnect()
    line.check_equal()


def test_two_loaders_do_not_undo_each_other(make_line: Make) -> None:
    line = make_line(THINGS)
    line.lake.write(THINGS, [thing("a")])
    first, first_warehouse = line.service()
    while first.round():
        pass
    line.lake.merge(THINGS, [thing("a", 2), thing("b")])
    line.catch_up()  # another one was faster
    line.lake.merge(THINGS, [thing("b", 3)])
    while first.round():
        """It believes version 0, is refused, and goes on from what is recorded."""
    first_warehouse.disconnect()
    line.check_equal()
    assert line.account.recorded(THINGS)["ROWS_UPSERTED"] == 1


@pytest.mark.parametrize("table", [table for table in ALL_TABLES if table.name.startswith("gold.")])
def test_every_gold_table_goes_there_as_it_is(make_line: Make, table: Table) -> None:
    line = make_line(table)
    line.lake.write(table, [sample(table, n) for n in range(3)])
    line.catch_up()
    line.lake.merge(table, [sample(table, n, salt=7) for n in range(2, 5)])
    line.catch_up()
    line.check_equal()


def sample(table: Table, n: int, salt: int = 0) -> dict[str, Any]:
    """A row with something in every column; the key follows from ``n`` alone."""
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
