"""Leases on a disk, between real processes, and what is in their files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_lakehouse.leases.keeper import hold
from cardwatch_lakehouse.leases.lease import LeaseTimes
from cardwatch_lakehouse.leases.opening import open_lease, why_no_lease
from cardwatch_lakehouse.leases.record import is_dead, this_process
from cardwatch_lakehouse.leases.store import LeaseHeldError, LeaseLostError

HOLDER = """
import sys, time
from cardwatch_lakehouse.leases.opening import open_lease
lease = open_lease(sys.argv[1], "velocity", "detector")
lease.acquire()
print(lease.epoch, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_a_sentence_that_names_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(
        LeaseHeldError, match=rf"detector on \S+ \(process {holder.pid}\), since 20\d\d-.*Z holds the lease"
    ):
        open_lease(str(tmp_path), "velocity", "detector").acquire()
    other = open_lease(str(tmp_path), "velocity-card", "detector")
    other.acquire()
    other.release()


def test_a_killed_holder_is_followed_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    began = time.monotonic()
    lease = open_lease(str(tmp_path), "velocity", "detector")
    lease.acquire()
    assert time.monotonic() - began < 1
    assert lease.epoch == 2
    lease.check()
    lease.release()


def test_a_stopped_holder_keeps_the_lease(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(LeaseHeldError):
        open_lease(str(tmp_path), "velocity", "detector").acquire()


def test_files_are_only_for_their_owner(tmp_path: Path) -> None:
    lease = open_lease(str(tmp_path / "checkpoints"), "velocity", "detector")
    lease.acquire()
    directory = tmp_path / "checkpoints" / "_leases"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        "velocity.json": 0o600,
        "velocity.lock": 0o600,
    }
    found = json.loads((directory / "velocity.json").read_text())
    assert (found["holder"]["what"], found["holder"]["pid"], found["epoch"]) == ("detector", os.getpid(), 1)
    lease.release()


def test_a_directory_that_is_deleted_under_its_holder_ends_it(tmp_path: Path) -> None:
    lease = open_lease(str(tmp_path), "velocity", "detector")
    lease.acquire()
    directory = tmp_path / "_leases"
    directory.rename(tmp_path / "old")
    follower = open_lease(str(tmp_path), "velocity", "detector")
    follower.acquire()
    with pytest.raises(LeaseLostError):
        lease.renew()
    follower.renew()
    lease.release()
    follower.check()
    follower.release()


def test_a_place_that_cannot_be_written_is_an_error_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be locked"):
        open_lease(str(tmp_path / "file"), "velocity", "detector").acquire()


def test_a_kept_lease_is_renewed_and_given_back(tmp_path: Path) -> None:
    lost: list[CardwatchError] = []
    leases = [open_lease(str(tmp_path), name, "test", times=LeaseTimes(1, 0.05, 0.05)) for name in ("one", "two")]
    with hold(leases, on_lost=lost.append):
        time.sleep(1.2)
        for lease in leases:
            lease.check()
        (tmp_path / "_leases" / "one.json").unlink()
        deadline = time.monotonic() + 5
        while not lost and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [type(error) for error in lost] == [LeaseLostError]
    with hold([open_lease(str(tmp_path), "two", "test")]):
        pass


def test_leases_that_cannot_all_be_taken_are_given_back(tmp_path: Path) -> None:
    second = open_lease(str(tmp_path), "two", "test")
    second.acquire()
    both = [open_lease(str(tmp_path), name, "test") for name in ("one", "two")]
    with pytest.raises(LeaseHeldError), hold(both):
        raise AssertionError("it is held")
    first = open_lease(str(tmp_path), "one", "test")
    first.acquire()
    first.release()
    second.release()


def test_only_processes_of_this_machine_can_be_known_to_have_ended() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = this_process("test")
    assert not is_dead(here)
    if not here.machine:
        pytest.skip("needs /proc")
    assert is_dead(replace(here, pid=ended.pid, started="1"))
    assert is_dead(replace(here, started="1")), "another process with the same id"
    assert not is_dead(replace(here, pid=ended.pid, machine="another boot"))
    assert not is_dead(replace(here, pid=ended.pid, machine=""))


@pytest.mark.parametrize(
    ("directory", "setting", "why"),
    [
        ("/var/lib/cardwatch", "", ""),
        ("relative/dir:with-colon", "on", ""),
        ("file:///tmp", "on", ""),
        ("s3a://lake/x", "on", ""),
        ("abfss://lake@account.dfs.core.windows.net/x", "on", ""),
        ("gs://lake/x", "on", ""),
        ("hdfs://name/x", "on", "hdfs://name/x is neither a disk nor"),
        ("dbfs:/x", "on", "dbfs:/x is neither a disk nor"),
        ("s3a://lake/x", "off", "CARDWATCH_LEASES is off"),
    ],
)
def test_where_there_is_no_lease(directory: str, setting: str, why: str) -> None:
    found = why_no_lease(directory, {"CARDWATCH_LEASES": setting})
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_the_setting_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="CARDWATCH_LEASES: expected on or off, got 'no'"):
        why_no_lease("/x", {"CARDWATCH_LEASES": "no"})
