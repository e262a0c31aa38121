"""Child processes that never become orphans, and safe ways to find and stop processes by pid."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import psutil
from cardwatch_contracts.errors import PlatformError

from cardwatch_platform import guard

# The tolerance in seconds, because the creation time is computed from the clock, which may be set meanwhile. To be
# mistaken for the first process, another one would have to get the same pid within this time of its start.
_CREATE_TIME_TOLERANCE_SECONDS: Final = 5.0
_KILL_WAIT_SECONDS: Final = 10.0


class GuardedProcess:
    """One child process under a guard (see ``cardwatch_platform.guard``).

    It ends when this process ends, however that happens, unless it was released. Terminal signals (Ctrl-C) reach only
    this process, which then stops its children in its own order.

    Args:
        name: for messages.
        argv: the command; no shell is involved.
        env: its whole environment; None: this process's.
        log_path: receives standard output and error, appended; its directory is created.
        cwd: its working directory.
        orphan_grace_seconds: how long it has to stop after SIGTERM when this process is gone.
    """

    guard_program: ClassVar[Path] = Path(guard.__file__)

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        log_path: Path,
        *,
        cwd: Path | None = None,
        orphan_grace_seconds: float = 5.0,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log_path = log_path
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._orphan_grace_seconds = orphan_grace_seconds
        self._guard: subprocess.Popen[bytes] | None = None
        self._control: int | None = None
        self._pid = 0

    def start(self) -> "GuardedProcess":
        """Start it. A process that has ended may be started again.

        Raises:
            PlatformError: it is running already, or the command cannot be executed.
        """
        if self._guard is not None and self.poll() is None:
            raise PlatformError(f"{self.name} is running already (pid {self._pid})")
        self._pid = 0  # another process may have the previous one by now
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        control_out, control_in = os.pipe()
        status_out, status_in = os.pipe()
        command = [
            *(sys.executable, "-I", "-S", str(self.guard_program)),
            *(str(os.getpid()), str(control_out), str(status_in), str(self._orphan_grace_seconds), "--"),
            *self.argv,
        ]
        try:
            with self.log_path.open("ab") as log:
                self._guard = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    pass_fds=(control_out, status_in),
                    start_new_session=True,
                )
        except BaseException:
            os.close(control_in)
            os.close(status_out)
            raise
        finally:
            os.close(control_out)
            os.close(status_in)
        self._control = control_in
        try:
            with os.fdopen(status_out, "rb") as status:
                kind, _, value = status.readline().decode().strip().partition(" ")
        except BaseException:  # Ctrl-C: the caller has no process yet that it could stop
            self.terminate()
            raise
        if kind != "pid":
            self._guard.wait()
            self._close_control()
            raise PlatformError(f"{self.name} cannot be started: {value or f'see {self.log_path}'}")
        self._pid = int(value)
        return self

    @property
    def pid(self) -> int:
        """The pid of the service itself, not of its guard; 0 before the start."""
        return self._pid

    @property
    def guard_pid(self) -> int:
        """The pid of its guard; 0 before the start."""
        return self._guard.pid if self._guard else 0

    def poll(self) -> int | None:
        """None while it runs, then its exit code; ``-n`` if signal n ended it."""
        if self._guard is None:
            return None
        code = self._guard.poll()
        if code is not None:
            self._close_control()
        return code

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait for its end and return its exit code.

        Raises:
            PlatformError: it was not started, or it still runs after the timeout.
        """
        if self._guard is None:
            raise PlatformError(f"{self.name} was not started")
        try:
            code = self._guard.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise PlatformError(f"{self.name} (pid {self._pid}) still runs after {timeout_seconds:g} s") from error
        self._close_control()
        return code

    def terminate(self, grace_seconds: float = 10.0) -> int | None:
        """Ask it to stop (SIGTERM) and kill it if it has not after the grace. Returns its exit code."""
        if self._guard is None:
            return None
        if self.poll() is None:
            self._guard.send_signal(signal.SIGTERM)
            try:
                self.wait(grace_seconds)
            except PlatformError:
                self.kill()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL it and its whole process group, and wait until it is gone."""
        if self._guard is not None and self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                if self._pid:
                    os.killpg(self._pid, signal.SIGKILL)
                else:
                    self._guard.kill()  # it has not reported the child's pid yet; the child dies with it
            self.wait(_KILL_WAIT_SECONDS)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): to its clients, a server that has stopped answering."""
        if self.poll() is None and self._pid:
            os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it after ``pause``."""
        if self.poll() is None and self._pid:
            os.kill(self._pid, signal.SIGCONT)

    def release(self) -> None:
        """From now on it outlives this process and has to be stopped by its pid."""
        if self._control is not None:
            os.write(self._control, b"r")
            self._close_control()

    def _close_control(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None


def create_time(pid: int) -> float:
    """When the process was created, seconds since the epoch: with the pid, its identity. 0 if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def find(pid: int, created: float) -> psutil.Process | None:
    """The running process with this pid and creation time; None if it has ended, even if its pid lives again."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > _CREATE_TIME_TOLERANCE_SECONDS:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        return None


def stop(pid: int, created: float, grace_seconds: float = 10.0) -> bool:
    """Stop exactly this process: SIGTERM, and SIGKILL after the grace. False if it was not running."""
    process = find(pid, created)
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
    if not wait_gone(pid, created, grace_seconds):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        wait_gone(pid, created, _KILL_WAIT_SECONDS)
    return True


def wait_gone(pid: int, created: float, timeout_seconds: float) -> bool:
    """Wait until the process has ended; False if it has not within the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while find(pid, created) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def log_tail(log_path: Path, lines: int = 15) -> str:
    """The last lines of a log file; empty if there is none."""
    try:
        with log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 64 * 1024))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
