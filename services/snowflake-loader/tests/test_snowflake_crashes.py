"""The loader is killed before each of its statements, or a statement fails: nothing is lost and nothing loaded twice.

A kill before a statement has the same effect as a kill after the previous one: the session ends, and with it an open
transaction.
"""

import shutil
from collections.abc import Callable
from typing import Any, Final

import pytest
from cardwatch_lakehouse.tables import Table
from cardwatch_snowflake import metrics
from snowflake.connector import errors

pytestmark = pytest.mark.faults

RATES: Final = Table("gold.rates", {"id": "STRING", "rate": "BIGINT", "names": "ARRAY<STRING>"}, key=("id",))
OTHER: Final = Table("gold.other", {"id": "STRING", "rate": "BIGINT"}, key=("id",))

Make = Callable[..., Any]


def rates(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"id": id, "rate": rate, "names": [id]} for id, rate in pairs]


def check_consistent(replication: Any) -> None:
    """Between any two statements, readers see the version that is recorded, whole and once."""
    version = replication.account.recorded(RATES)["DELTA_VERSION"]
    if version is not None:
        assert replication.account.rows(RATES) == replication.lake.rows(RATES, int(version))


def kills(
    replication: Any, change: Callable[[int], None], before_each: Callable[[], Any] = lambda: None, first: int = 1
) -> int:
    """Kill loaders that take a change of the Delta table up, before their 1st, 2nd, 3rd … statement.

    Each begins where the one before it was killed; once the change is in, there is another. Returns how many statements
    the last one, which lived, sent.
    """
    number = first - 1
    killed = True
    while killed:
        number += 1
        if replication.account.recorded(RATES)["DELTA_VERSION"] == replication.lake.delta(RATES).version():
            change(number)
        before_each()
        replication.account.statements.clear()
        killed = replication.killed_before(number)
        check_consistent(replication)
    replication.check_equal()
    assert len(replication.account.statements) == number - 1
    return number - 1


@pytest.mark.faults
def test_killed_between_any_two_statements_of_an_increment(make_replication: Make) -> None:
    replication = make_replication(RATES)
    replication.lake.write(RATES, rates(("same", 0), ("changed", 0), ("gone-0", 0)))
    replication.catch_up()

    def change(number: int) -> None:
        replication.lake.delta(RATES).delete("id LIKE 'gone-%'")
        replication.lake.merge(RATES, rates(("changed", number), (f"gone-{number}", number)))

    assert kills(replication, change) == 19  # all that an increment sends, connecting included
    assert len(replication.account.rows(RATES)) == 3


@pytest.mark.faults
def test_killed_between_any_two_statements_of_a_load_of_the_whole_table(make_replication: Make) -> None:
    replication = make_replication(RATES, chunk_rows=1)
    replication.lake.write(RATES, rates(("a", 0)))
    replication.lake.write(RATES, rates(("b", 0)))
    replication.catch_up()

    def change(number: int) -> None:
        replication.lake.replace(RATES, rates(("b", number)), "id = 'b'")

    def forget() -> None:
        # As if another table had been there before: its rows stay until the new ones are complete.
        replication.account.look(
            "UPDATE CARDWATCH_LOADS SET DELTA_TABLE_ID = 'another', SNAPSHOT_TABLE_ID = NULL, SNAPSHOT_VERSION = NULL, "
            "SNAPSHOT_FILES = NULL, SNAPSHOT_ROWS = NULL"
        )

    assert kills(replication, change, forget, first=6) > 30  # two chunks and the exchange; connecting is as above
    assert "RATES__LOADING" not in replication.account.tables()


def fail_once(replication: Any, beginning: str, error: errors.Error, *, done: bool = False) -> list[str]:
    """Let the next statement with this beginning fail, before it runs or, with ``done``, after it; returns the failed
    ones.
    """
    failed: list[str] = []

    def fail(statement: str) -> None:
        if statement.startswith(beginning) and not failed:
            failed.append(statement)
            raise error

    setattr(replication.account, "after" if done else "before", fail)
    return failed


@pytest.mark.parametrize("done", [False, True])
def test_a_commit_without_an_answer(make_replication: Make, done: bool) -> None:
    replication = make_replication(RATES)
    replication.lake.write(RATES, rates(("a", 1)))
    replication.catch_up()
    replication.lake.merge(RATES, rates(("a", 2), ("b", 1)))
    failed = fail_once(replication, "COMMIT", errors.OperationalError("connection reset", errno=250003), done=done)
    replication.catch_up()
    assert failed
    replication.check_equal()
    failures = {"table": RATES.name, "kind": "transient"}
    assert replication.metrics.registry.get_sample_value(metrics.FAILURES_TOTAL, failures) == 1


def test_a_table_that_fails_does_not_hold_up_the_others(make_replication: Make) -> None:
    replication = make_replication(RATES, OTHER)
    replication.lake.write(RATES, rates(("a", 1)))
    replication.lake.write(OTHER, [{"id": "x", "rate": 1}])

    def refuse(statement: str) -> None:
        if statement.startswith('CREATE TABLE IF NOT EXISTS "RATES"'):
            raise errors.ProgrammingError("Insufficient privileges to operate on schema 'GOLD'", errno=3001)

    replication.account.before = refuse
    service, warehouse = replication.service()
    while service.round():
        """RATES pauses after its failure, OTHER continues."""
    assert replication.account.rows(OTHER) == replication.lake.rows(OTHER)
    assert "gold.rates is not loaded: Snowflake: 003001: Insufficient privileges" in service.not_ready()
    failures = {"table": RATES.name, "kind": "lasting"}
    assert replication.metrics.registry.get_sample_value(metrics.FAILURES_TOTAL, failures) == 1

    replication.account.before = lambda _: None
    warehouse.disconnect()
    replication.catch_up()
    replication.check_equal()


def test_readiness_and_metrics(make_replication: Make) -> None:
    replication = make_replication(RATES, OTHER)
    replication.lake.write(RATES, rates(("a", 1), ("b", 1)))
    service, warehouse = replication.service()
    assert service.not_ready() == "loading gold.rates, gold.other for the first time"
    while service.round():
        pass
    assert service.not_ready() == ""  # gold.other does not exist, which is not an error

    def value(name: str, **labels: str) -> float | None:
        sample: float | None = replication.metrics.registry.get_sample_value(name, {"table": RATES.name, **labels})
        return sample

    assert value(metrics.ROWS_TOTAL, operation="upserted") == 2
    assert value(metrics.VERSION_LAG) == 0
    replication.lake.merge(RATES, rates(("a", 2)))
    replication.lake.delta(RATES).delete("id = 'b'")
    fail_once(replication, "MERGE", errors.ProgrammingError("no", errno=1003))
    service.round()
    assert value(metrics.VERSION_LAG) == 2
    replication.account.before = lambda _: None
    warehouse.disconnect()


def test_a_stop_ends_between_two_steps(make_replication: Make) -> None:
    replication = make_replication(RATES, chunk_rows=1)
    replication.lake.write(RATES, rates(("a", 1)))
    replication.lake.write(RATES, rates(("b", 1)))

    def stop(statement: str) -> None:
        if statement.startswith("COPY"):
            replication.shutdown.request()

    replication.account.before = stop
    service, warehouse = replication.service()
    service.run()
    warehouse.disconnect()
    recorded = replication.account.recorded(RATES)
    assert (recorded["SNAPSHOT_FILES"], recorded["SNAPSHOT_ROWS"]) == (1, 1)


def test_files_that_are_gone_from_the_stage_are_noticed(make_replication: Make) -> None:
    from fakesnow.transforms.stage import internal_dir

    replication = make_replication(RATES)
    replication.lake.write(RATES, rates(("a", 1)))
    replication.catch_up()
    replication.lake.merge(RATES, rates(("a", 2)))
    emptied: list[str] = []

    def empty(statement: str) -> None:
        if statement.startswith("COPY") and not emptied:
            emptied.append(statement)
            shutil.rmtree(internal_dir("CARDWATCH.GOLD.CARDWATCH_LOADER", "rates/"))

    replication.account.before = empty
    replication.catch_up()
    assert emptied
    replication.check_equal()
