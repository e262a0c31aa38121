"""What to do when somebody else changed a table while Spark was changing it."""

from typing import Final

from delta import exceptions
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

CONFLICTS: Final = (
    exceptions.ConcurrentAppendException,
    exceptions.ConcurrentDeleteDeleteException,
    exceptions.ConcurrentDeleteReadException,
    exceptions.ConcurrentTransactionException,
    exceptions.ConcurrentWriteException,
    # In Java the others are of this kind; in Python they are not.
    exceptions.DeltaConcurrentModificationException,
    exceptions.MetadataChangedException,
    exceptions.ProtocolChangedException,
)
"""Somebody else's commit came first: done again, from the table as it is then, the command may well succeed."""

again_on_conflict: Final = retry(
    # Upkeep joined files, or a card was forgotten: what was read may have changed, so the command is done again.
    retry=retry_if_exception_type(CONFLICTS),
    wait=wait_random_exponential(multiplier=0.2, max=10),
    stop=stop_after_attempt(5),
    reraise=True,
)
"""Decorates a function that runs one command on a table, from its version as it is then."""
