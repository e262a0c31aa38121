"""What comes out of the pipeline: plain values."""

from dataclasses import dataclass

from cardwatch_contracts.wire import Record
from cardwatch_kafka.dead_letters import DeadLetter
from cardwatch_kafka.messages import ReceivedMessage


@dataclass(frozen=True, slots=True)
class Enriched:
    """A valid message: its record of ``enriched_transaction.avsc`` and the key that it is published under."""

    source: ReceivedMessage
    key: bytes
    record: Record


Outcome = Enriched | DeadLetter
