"""Retries commits that conflict with another writer's."""

from collections.abc import Callable
from typing import Final, TypeVar

from deltalake.exceptions import CommitFailedError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

Result = TypeVar("Result")

_ATTEMPTS: Final = 8
_MAX_PAUSE_SECONDS: Final = 20


def retry_maintenance_on_conflict(commit: Callable[[], Result]) -> Result:
    """Make a commit; if another writer's commit conflicts with it, make it again on the table's new version.

    Args:
        commit: opens the table itself, so that each attempt sees the newest version.

    Raises:
        deltalake.exceptions.CommitFailedError: every attempt conflicted.
    """
    return Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=_MAX_PAUSE_SECONDS),
        reraise=True,
    )(commit)
