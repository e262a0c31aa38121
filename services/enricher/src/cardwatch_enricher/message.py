"""What goes into the pipeline and what comes out of it: plain values, no Kafka client in sight."""

from dataclasses import dataclass

from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as the broker keeps it.

    Attributes:
        broker_time: when the broker appended it, microseconds since epoch UTC; None if the broker keeps no time.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    broker_time: int | None = None


@dataclass(frozen=True, slots=True)
class Enriched:
    """A good message: a record of ``enriched_transaction.avsc`` and the key that it is published under."""

    source: RawMessage
    key: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class Refused:
    """A bad message: a record of ``dead_letter.avsc`` and the key that it is published under."""

    source: RawMessage
    key: bytes | None
    record: Record
    reason: Reason


Outcome = Enriched | Refused
