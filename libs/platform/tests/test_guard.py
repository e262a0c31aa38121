"""Guarded processes that are killed in every way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform import processes
from cardwatch_platform.processes import GuardedProcess, create_time, log_tail

_SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# Says when its handler is in place, then ignores SIGTERM.
_STUBBORN = [
    sys.executable,
    "-uc",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)",
]
_TIDY = [
    sys.executable,
    "-uc",
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('ready'); time.sleep(600)",
]
# A parent that starts a guarded child, prints its pids, and then runs the given code.
_PARENT = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and that is inherited
from cardwatch_platform.processes import GuardedProcess
child = GuardedProcess("child", {argv!r}, None, Path({log!r}), orphan_grace_seconds=0.5).start()
print(child.pid, child.guard_pid, flush=True)
{then}
"""


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[[list[str]], GuardedProcess]]:
    """Start a command guarded; processes that still run at the end are killed."""
    started: list[GuardedProcess] = []

    def start(argv: list[str]) -> GuardedProcess:
        process = GuardedProcess("child", argv, None, tmp_path / "logs" / "child.log").start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def _start_parent(log: Path, argv: list[str], then: str) -> tuple[subprocess.Popen[str], int, int]:
    code = _PARENT.format(argv=argv, log=str(log), then=then)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child, guard = map(int, parent.stdout.readline().split())
    return parent, child, guard


@pytest.mark.faults
@pytest.mark.parametrize("argv", [_SLEEP, _STUBBORN], ids=["willing", "ignores SIGTERM"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_child_dies_with_its_parent(tmp_path: Path, argv: list[str], number: signal.Signals) -> None:
    log = tmp_path / "child.log"
    parent, child, guard = _start_parent(log, argv, "time.sleep(600)")
    if argv is _STUBBORN:
        assert _wait_for(lambda: "ready" in log_tail(log))
    parent.send_signal(number)
    parent.communicate()
    assert _wait_for(lambda: _gone(child) and _gone(guard))


def test_child_dies_with_a_parent_that_just_ends(tmp_path: Path) -> None:
    parent, child, guard = _start_parent(tmp_path / "log", _SLEEP, "raise SystemExit(0)")
    parent.communicate()
    assert _wait_for(lambda: _gone(child) and _gone(guard))


def test_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """PR_SET_PDEATHSIG is about threads; the guard must not be."""
    then = "time.sleep(600)"
    threaded = """
import threading
def start():
    global child
    child = GuardedProcess("child", {argv!r}, None, Path({log!r}), orphan_grace_seconds=0.5).start()
thread = threading.Thread(target=start); thread.start(); thread.join()
"""
    log = str(tmp_path / "log")
    code = _PARENT.replace(
        'child = GuardedProcess("child", {argv!r}, None, Path({log!r}), orphan_grace_seconds=0.5).start()', threaded
    ).format(argv=_SLEEP, log=log, then=then)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child, _ = map(int, parent.stdout.readline().split())
        time.sleep(1.0)
        assert not _gone(child)
        parent.kill()
    assert _wait_for(lambda: _gone(child))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_child_dies_with_its_guard(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    process = guarded(_SLEEP)
    os.kill(process.guard_pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert _wait_for(lambda: _gone(process.pid))


def test_released_child_lives_on(tmp_path: Path) -> None:
    parent, child, guard = _start_parent(tmp_path / "log", _SLEEP, "child.release()")
    parent.communicate()
    created, guard_created = create_time(child), create_time(guard)
    try:
        time.sleep(1.5)  # longer than the guard's look at its parent
        assert not _gone(child)
        assert not _gone(guard)
    finally:
        assert processes.stop(child, created, 10.0)
    assert _gone(child)
    assert processes.wait_gone(guard, guard_created, 10.0)


def test_grandchildren_are_stopped_too(tmp_path: Path, guarded: Callable[[list[str]], GuardedProcess]) -> None:
    grandchild_file = tmp_path / "grandchild"
    code = (
        "import pathlib, subprocess, sys, time; "
        f"p = subprocess.Popen({_SLEEP!r}); pathlib.Path({str(grandchild_file)!r}).write_text(str(p.pid) + '.'); "
        "time.sleep(600)"
    )
    process = guarded([sys.executable, "-c", code])
    assert _wait_for(lambda: grandchild_file.exists() and grandchild_file.read_text().endswith("."))
    process.kill()
    assert _wait_for(lambda: _gone(int(grandchild_file.read_text()[:-1])))


def test_exit_code_is_the_childs(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    assert guarded([sys.executable, "-c", "raise SystemExit(41)"]).wait(30) == 41


def test_terminate_lets_the_child_tidy_up(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    process = guarded(_TIDY)
    assert process.poll() is None
    assert _wait_for(lambda: "ready" in log_tail(process.log_path))
    assert process.terminate(30.0) == 7
    assert process.poll() == 7


def test_terminate_kills_after_the_grace(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    process = guarded(_STUBBORN)
    assert _wait_for(lambda: "ready" in log_tail(process.log_path))
    assert process.terminate(0.3) == -signal.SIGKILL
    assert _gone(process.pid)


def test_terminate_reaches_a_paused_child(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    process = guarded(_TIDY)
    assert _wait_for(lambda: "ready" in log_tail(process.log_path))
    process.pause()
    assert _wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    assert process.terminate(30.0) == 7


def test_kill_is_immediate_and_it_can_start_again(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    process = guarded(_STUBBORN)
    first = process.pid
    process.kill()
    assert process.poll() == -signal.SIGKILL
    assert _gone(first)
    process.start()
    assert process.pid != first
    assert process.poll() is None


def test_a_command_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    process = GuardedProcess("broker", [str(tmp_path / "absent")], None, tmp_path / "log")
    with pytest.raises(PlatformError, match=r"broker cannot be started: .*No such file"):
        process.start()


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    class SilentlyGuarded(GuardedProcess):
        """Its guard never reports the child's pid."""

        guard_program = tmp_path / "guard.py"

    SilentlyGuarded.guard_program.write_text("import time; time.sleep(600)")
    process = SilentlyGuarded("broker", _SLEEP, None, tmp_path / "log")
    main = threading.main_thread().ident
    assert main
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a Spark in this process has one of its own
    threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.guard_pid
    assert _gone(process.guard_pid)


def test_running_process_does_not_start_twice(guarded: Callable[[list[str]], GuardedProcess]) -> None:
    with pytest.raises(PlatformError, match="is running already"):
        guarded(_SLEEP).start()


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    with subprocess.Popen(_SLEEP) as stranger:
        created = create_time(stranger.pid)
        assert not processes.stop(stranger.pid, created - 3600, 1.0)
        assert stranger.poll() is None
        assert processes.stop(stranger.pid, created, 10.0)
        assert stranger.wait() == -signal.SIGTERM


def test_log_tail_is_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(str(number) for number in range(100_000)))
    assert log_tail(log, 2) == "99998\n99999"
    assert log_tail(tmp_path / "absent") == ""
