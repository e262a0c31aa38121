"""Why something in Spark failed, in one sentence."""

from collections.abc import Callable
from typing import Final

from cardwatch_service.logs import get
from pyspark.sql import DataFrame

Writer = Callable[[DataFrame, int], object]
"""Does what is to be done with a micro-batch, in such a way that doing it again changes nothing.

What it returns plays no part.
"""

_LONGEST: Final = 2000

_log = get(__name__)


class MicroBatchError(Exception):
    """A micro-batch could not be written; the message is why."""


def innermost_cause(text: str) -> str:
    """The last cause in what Java or Python print of an error: what went wrong first. At most 2,000 characters."""
    causes = [line.strip() for line in text.splitlines() if "Error: " in line or "Exception: " in line]
    cause = next((line for line in reversed(causes) if not line.startswith("Suppressed: ")), text)
    return cause.strip()[:_LONGEST]


def with_brief_errors(query: str, write: Writer) -> Callable[[DataFrame, int], None]:
    """The same writer, its errors in one sentence each; whole they go to the log.

    Where a writer fails, Spark looks for an interruption in the error's text, by a regular expression that takes some
    stack for each character. Over Java's stack traces, which the text of an error from Java holds, it runs out of
    stack: the query's thread is gone, and the query passes for running, for ever.

    Args:
        query: its name, for the log.
    """

    def write_or_say_why(batch: DataFrame, batch_id: int) -> None:
        try:
            write(batch, batch_id)
        except Exception as error:  # noqa: BLE001  # raised anew
            _log.exception("micro-batch failed", query=query, batch_id=batch_id)
            raise MicroBatchError(innermost_cause(str(error))) from None

    return write_or_say_why
