"""The fields that the rules need and a transaction's producer does not send."""

from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_reference.derived import Derivation


class Enricher:
    """Adds the fields of ``enriched_transaction.avsc``."""

    def __init__(self, derive: Derivation) -> None:
        self._derive = derive

    def __call__(self, record: Record, source: ReceivedMessage, received_at: int, now: int) -> Record:
        """The silver record of a valid raw one.

        Args:
            record: of ``transaction.avsc``, validated.
            source: the message that it came in.
            received_at: when the broker appended that message, in microseconds since 1970 UTC.
            now: the time of enriching, in microseconds since 1970 UTC.
        """
        return {
            **record,
            **self._derive(record),
            "raw_topic": source.topic,
            "raw_partition": source.partition,
            "raw_offset": source.offset,
            "raw_broker_time": received_at,
            "enriched_at": now,
        }
