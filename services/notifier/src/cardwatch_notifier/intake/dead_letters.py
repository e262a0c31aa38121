"""Messages of the alerts topic that are not alerts: kept on the dead-letter topic before their offset is passed."""

from collections.abc import Sequence
from typing import Final, Protocol

from cardwatch_contracts.errors import RefusedError
from cardwatch_kafka.dead_letters import DeadLetter, build_dead_letter, mask_message
from cardwatch_kafka.messages import ReceivedMessage

SERVICE: Final = "notifier"


class DeadLetters(Protocol):
    """Where refused messages are kept; ``cardwatch_kafka.dead_letters.DeadLetterWriter`` is an implementation."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write them; they are safe when it returns.

        Raises:
            DeadLetterError: some may not be safe; try again.
        """


def refuse(message: ReceivedMessage, error: RefusedError, refused_at: int) -> DeadLetter:
    """The dead letter of a refused message, with card numbers in it masked.

    ``refused_at``: microseconds since 1970-01-01 UTC.
    """
    return build_dead_letter(
        message, error.reason, mask_message(message, error), service=SERVICE, refused_at=refused_at
    )
