"""Waits for conditions that other processes fulfil."""

import time
from collections.abc import Callable

import httpx


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    seconds: float = 60.0,
    poll_seconds: float = 0.1,
    explain: Callable[[], str] = str,
) -> None:
    """Wait until a condition holds; an assertion fails when it does not in time.

    A condition that asks a server which does not answer (``httpx.HTTPError``) does not hold yet.

    Args:
        condition: asked again and again.
        what: what is waited for, for the message.
        seconds: how long to wait.
        poll_seconds: the pause between two questions.
        explain: returns the end of the message, such as the log of the process that is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s: {explain()}"
        time.sleep(poll_seconds)
