"""The fields that the rules need and a transaction's producer does not send."""

from cardwatch_card_numbers.rotation import TokenRotation
from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_reference.derived import Derivation


class Enricher:
    """Adds the fields of ``enriched_transaction.avsc``, and puts a card's two tokens in order during a rotation."""

    def __init__(self, derive: Derivation, rotation: TokenRotation) -> None:
        self._derive = derive
        self._rotation = rotation

    def __call__(self, record: Record, source: ReceivedMessage, received_at: int, now: int) -> Record:
        """The silver record of a valid raw one.

        Args:
            record: of ``transaction.avsc``, validated.
            source: the message that it came in.
            received_at: when the broker appended that message, in microseconds since 1970 UTC.
            now: the time of enriching, in microseconds since 1970 UTC.
        """
        return {
            **self._rotation.in_order(record),
            **self._derive(record),
            "raw_topic": source.topic,
            "raw_partition": source.partition,
            "raw_offset": source.offset,
            "raw_broker_time": received_at,
            "enriched_at": now,
        }
