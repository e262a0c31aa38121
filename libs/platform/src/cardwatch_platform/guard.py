"""A process between a parent and one child, so that the child never outlives the parent.

    parent ──control pipe──▶ guard ──▶ child (a process group of its own)
           ◀──status pipe──

The guard starts the child, reports ``pid <n>`` (or ``error <text>``) on the status pipe, forwards SIGTERM and SIGINT
to it and ends as it ended: same exit code, or by the same signal. When the parent ends, in whichever way (SIGKILL
included), the control pipe closes by itself and the guard stops the child: SIGTERM, a grace period, SIGKILL for the
whole group. A parent that wants the child to live on writes ``r`` (release) to the control pipe first. Should the guard
itself be killed, Linux kills the child (PR_SET_PDEATHSIG).

Run as a file by ``cardwatch_platform.processes``; the standard library only, so that it starts in milliseconds:

    python -I -S guard.py <parent pid> <control fd> <status fd> <grace seconds> -- command argument…
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

_PARENT_CHECK_SECONDS = 0.5
_GROUP_GRACE_SECONDS = 3.0
_RELEASE = b"r"
_PR_SET_PDEATHSIG = 1


def _die_with_guard(guard_pid: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:  # it died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return before_exec


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to the group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # some systems answer this for a group of zombies only
        return False
    return True


def _stop_group(group: int) -> None:
    """Stop the processes that the child left behind (a JVM beside its Python driver): SIGTERM, wait, SIGKILL."""
    if not _signal_group(group, signal.SIGTERM):
        return
    _signal_group(group, signal.SIGCONT)
    deadline = time.monotonic() + _GROUP_GRACE_SECONDS
    while time.monotonic() < deadline:
        if not _signal_group(group, 0):
            return
        time.sleep(0.05)
    _signal_group(group, signal.SIGKILL)


def _end_like(code: int) -> None:
    if code >= 0:
        os._exit(code)
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(128 - code)  # the signal's default is not to end a process


class _Guard:
    def __init__(self, parent_pid: int, control: int, grace_seconds: float, child: "subprocess.Popen[bytes]") -> None:
        self._parent_pid = parent_pid
        self._control: int | None = control
        self._grace_seconds = grace_seconds
        self._child = child
        self._released = False
        self._kill_at: float | None = None

    def forward(self, number: int, _frame: object) -> None:
        if self._child.returncode is None:
            self._child.send_signal(number)
            self._child.send_signal(signal.SIGCONT)  # a stopped process would not see it

    def run(self, wakeup: int) -> int:
        while self._child.poll() is None:
            watched = [wakeup] if self._control is None else [wakeup, self._control]
            ready, _, _ = select.select(watched, [], [], _PARENT_CHECK_SECONDS)
            if wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wakeup, 4096)
            if self._control is not None and self._control in ready:
                self._read_control()
            if not self._released and os.getppid() != self._parent_pid:
                self._parent_gone()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                _signal_group(self._child.pid, signal.SIGKILL)
        return self._child.returncode

    def _read_control(self) -> None:
        assert self._control is not None
        data = os.read(self._control, 64)
        if _RELEASE in data:
            self._released = True
        if not data:
            os.close(self._control)
            self._control = None
            if not self._released:
                self._parent_gone()

    def _parent_gone(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_seconds
            self.forward(signal.SIGTERM, None)


def main(arguments: list[str]) -> None:
    parent_pid, control, status = (int(argument) for argument in arguments[:3])
    grace_seconds, command = float(arguments[3]), arguments[5:]
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    wakeup, wakeup_in = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(wakeup_in, False)
    signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_guard(os.getpid()),
        )
    except OSError as error:
        os.write(status, f"error {error}\n".encode())
        os._exit(127)
    guard = _Guard(parent_pid, control, grace_seconds, child)
    signal.signal(signal.SIGTERM, guard.forward)
    signal.signal(signal.SIGINT, guard.forward)
    os.write(status, f"pid {child.pid}\n".encode())
    os.close(status)
    code = guard.run(wakeup)
    _stop_group(child.pid)
    _end_like(code)


if __name__ == "__main__":
    main(sys.argv[1:])
