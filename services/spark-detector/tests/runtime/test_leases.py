"""The Spark services' leases: nothing is written or committed without them (the detector: ``test_sink.py``)."""

from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_detector.runtime.leases import ProcessLeases, always_held, only_while_held
from cardwatch_lakehouse.leases.lease import LeaseTimes
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


def test_a_service_holds_all_its_leases_or_none(tmp_path: Path) -> None:
    places = {"writer": str(tmp_path / "tables"), "lakehouse": str(tmp_path / "checkpoints")}
    first, second = (ProcessLeases.of(places, "lakehouse", Shutdown()) for _ in range(2))
    with first.held():
        first.check()
        assert 0 < first.held_seconds() <= 0.8 * LeaseTimes().ttl_seconds
        with pytest.raises(LeaseHeldError, match="lakehouse on"), second.held():
            raise AssertionError("it is held twice")
    with pytest.raises(LeaseLostError):
        first.check()
    with pytest.raises(LeaseLostError):
        first.held_seconds()
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
        assert leases.held_seconds() == always_held()
    out, err = capfd.readouterr()
    assert "nothing here keeps a second process away" in out + err
