"""Messages of the alerts topic that are not alerts: kept on the dead-letter topic before their offset is passed."""

from collections.abc import Sequence
from typing import Final, Protocol

from cardwatch_card_numbers.masking import mask_bytes, mask_undecodable
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_kafka.dead_letters import DeadLetter, build_dead_letter, mask_message
from cardwatch_kafka.messages import ReceivedMessage

SERVICE: Final = "notifier"
_UNDECODED: Final = frozenset(
    {Reason.NOT_CONFLUENT_FRAMED, Reason.UNKNOWN_SCHEMA_ID, Reason.WRONG_SCHEMA, Reason.UNDECODABLE_AVRO}
)


class DeadLetters(Protocol):
    """Where refused messages are kept; ``cardwatch_kafka.dead_letters.DeadLetterWriter`` is an implementation."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write them; they are safe when it returns.

        Raises:
            DeadLetterError: some may not be safe; try again.
        """


def refuse(message: ReceivedMessage, error: RefusedError, refused_at: int) -> DeadLetter:
    """The dead letter of a refused message, with the digits of card numbers in it masked.

    ``refused_at``: microseconds since 1970-01-01 UTC.
    """
    mask_value = mask_undecodable if error.reason in _UNDECODED else mask_bytes
    content = mask_message(message, error, mask_value)
    return build_dead_letter(message, error.reason, content, service=SERVICE, refused_at=refused_at)
