"""Failures in Spark, reported in one sentence each."""

import re
from collections.abc import Callable
from typing import Final

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_service.logs import get_logger
from pyspark.sql import DataFrame

BatchWriter = Callable[[DataFrame, int], object]
"""Writes a micro-batch (rows, number) in such a way that writing it again changes nothing. The result is not used."""

REGISTRY_OUTAGE: Final = "waiting for the schema registry"
"""Part of the reason of a failure that is the registry's: the query waits for its end, however long that is."""

_MAX_CAUSE_CHARACTERS: Final = 2000

# Spark's error for offsets that the broker does not have any more; its words stand in lines of their own.
_DATA_LOSS: Final = re.compile(
    r"\[KAFKA_DATA_LOSS[.\w]*\].*?Reason:\s*(.*?)(?=\s*SQLSTATE|\n\s*at |\n\s*\n|\Z)", re.DOTALL
)

# The client's own error below it, which is all that is left of a failure inside a micro-batch's writer.
_OUT_OF_RANGE: Final = re.compile(r"OffsetOutOfRangeException: .*?offset=(\d+).*? out of range for partition (\S+)")

_log = get_logger(__name__)


class MicroBatchError(Exception):
    """A micro-batch could not be written; the message is why."""


def innermost_cause(text: str) -> str:
    """The last cause in a printed Java or Python error, which is what went wrong first. At most 2,000 characters."""
    causes = [line.strip() for line in text.splitlines() if "Error: " in line or "Exception: " in line]
    cause = next((line for line in reversed(causes) if not line.startswith("Suppressed: ")), text)
    return cause.strip()[:_MAX_CAUSE_CHARACTERS]


def describe_data_loss(text: str) -> str | None:
    """What a printed error of Spark says about messages that were deleted before they were read; None if nothing."""
    if found := _DATA_LOSS.search(text):
        return " ".join(found[1].split())[:_MAX_CAUSE_CHARACTERS]
    if found := _OUT_OF_RANGE.search(text):
        return f"Partition {found[2]} has no offset {found[1]} any more."
    return None


def with_brief_errors(query: str, write: BatchWriter) -> Callable[[DataFrame, int], None]:
    """The same writer, raising errors of one sentence each and logging them in full.

    When a writer fails, Spark searches the error's text for an interruption, with a regular expression that takes some
    stack for each character. A Java stack trace in the text makes it run out of stack: the query's thread ends, and the
    query counts as running for ever.

    Args:
        query: its name, for the log.
    """

    def write_or_say_why(batch: DataFrame, batch_id: int) -> None:
        try:
            write(batch, batch_id)
        except RegistryUnavailableError as error:
            raise MicroBatchError(f"{REGISTRY_OUTAGE}: {error}") from None
        except Exception as error:  # noqa: BLE001  # raised again as one sentence
            _log.exception("micro-batch failed", query=query, batch_id=batch_id)
            raise MicroBatchError(innermost_cause(str(error))) from None

    return write_or_say_why
