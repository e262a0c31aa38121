"""The Spark services' leases: nothing is written, published or committed without them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_detector.runtime.leases import ProcessLeases, only_while_held
from cardwatch_detector.velocity.query import VelocityQuery
from cardwatch_lakehouse.leases.opening import open_lease
from cardwatch_lakehouse.leases.store import LeaseHeldError, LeaseLostError
from cardwatch_service.shutdown import Shutdown
from support.waiting import wait_until


class LostAfter:
    """A lease that is lost after some checks."""

    def __init__(self, checks: int) -> None:
        self.left = checks

    def __call__(self) -> None:
        if not self.left:
            raise LeaseLostError("lost")
        self.left -= 1


@pytest.mark.parametrize(("checks", "written"), [(0, []), (1, [7]), (2, [7])])
def test_a_micro_batch_is_neither_begun_nor_committed_without_the_lease(checks: int, written: list[int]) -> None:
    done: list[int] = []
    write = only_while_held(LostAfter(checks), lambda batch, batch_id: done.append(batch_id))
    batch: Any = None
    if checks == 2:
        write(batch, 7)
    else:
        with pytest.raises(LeaseLostError):
            write(batch, 7)
    assert done == written


@pytest.mark.parametrize(
    ("checks", "happened"),
    [(0, []), (1, ["evaluated"]), (2, ["evaluated", "alerts", "late"]), (3, ["evaluated", "alerts", "late"])],
)
def test_the_detector_publishes_nothing_without_the_lease(checks: int, happened: list[str]) -> None:
    found: list[str] = []

    def evaluate(batch: object) -> object:
        found.append("evaluated")
        return SimpleNamespace(alerts=SimpleNamespace(num_rows=1), late=SimpleNamespace(num_rows=1))

    alerts = SimpleNamespace(clock_us=lambda: 0, publish=lambda *arguments: found.append("alerts"))
    late = SimpleNamespace(publish=lambda *arguments: found.append("late"))
    parts: Any = (SimpleNamespace(scopes=("card",), view=None, check_schemas=lambda: None), alerts, late)
    lease = LostAfter(checks)
    query: Any = VelocityQuery(*parts, key_id="1", check=lease)
    plan, batch = SimpleNamespace(evaluate=evaluate), cast(Any, None)
    write = only_while_held(lease, lambda batch, _: query._write(plan, batch, None))  # as its start gives it to Spark
    if checks == 3:
        write(batch, 0)
    else:
        with pytest.raises(LeaseLostError):  # Spark does not commit the micro-batch then
            write(batch, 0)
    assert found == happened


def test_a_service_holds_all_its_leases_or_none(tmp_path: Path) -> None:
    places = {"writer": str(tmp_path / "tables"), "lakehouse": str(tmp_path / "checkpoints")}
    first, second = (ProcessLeases.of(places, "lakehouse", Shutdown()) for _ in range(2))
    with first.held():
        first.check()
        with pytest.raises(LeaseHeldError, match="lakehouse on"), second.held():
            raise AssertionError("it is held twice")
    with pytest.raises(LeaseLostError):
        first.check()
    other = open_lease(places["lakehouse"], "lakehouse", "other")
    other.acquire()
    third = ProcessLeases.of(places, "lakehouse", Shutdown())
    with pytest.raises(LeaseHeldError, match="other on"), third.held():
        raise AssertionError("one of them is held by another")
    other.release()
    with third.held():
        third.check()


def test_a_lost_lease_is_reported_while_nothing_is_written(tmp_path: Path) -> None:
    leases = ProcessLeases.of({"velocity": str(tmp_path)}, "detector", Shutdown())
    lost: list[CardwatchError] = []
    with leases.held(on_lost=lost.append):
        (tmp_path / "_leases" / "velocity.json").unlink()
        wait_until(lambda: bool(lost), "renewal that is refused")
        with pytest.raises(LeaseLostError, match="has been deleted"):
            leases.check()


@pytest.mark.parametrize(
    ("directory", "environment"), [("/checkpoints", {"DATABRICKS_RUNTIME_VERSION": "18"}), ("hdfs://name/x", {})]
)
def test_where_there_can_be_no_lease_the_log_says_so(
    directory: str, environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    leases = ProcessLeases.of({"velocity": directory}, "detector", Shutdown(), environment)
    with leases.held():
        leases.check()
    out, err = capfd.readouterr()
    assert "nothing here keeps a second process away" in out + err
