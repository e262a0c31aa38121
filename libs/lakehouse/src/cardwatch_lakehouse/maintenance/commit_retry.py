"""Trying again what somebody else's commit came before."""

from collections.abc import Callable
from typing import Final, TypeVar

from deltalake.exceptions import CommitFailedError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

Result = TypeVar("Result")

_ATTEMPTS: Final = 8
_LONGEST_PAUSE_SECONDS: Final = 20


def retried(attempt: Callable[[], Result]) -> Result:
    """Do something that commits; where a writer came in between, do it again on the table as it is by then.

    Args:
        attempt: opens the table itself, so that the next attempt sees what was committed.

    Raises:
        deltalake.exceptions.CommitFailedError: somebody came in between every time.
    """
    return Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE_SECONDS),
        reraise=True,
    )(attempt)
