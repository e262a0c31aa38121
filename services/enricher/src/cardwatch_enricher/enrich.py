"""Enriching a valid transaction: what the rules want to know and its producer does not."""

from cardwatch_contracts.wire import Record
from cardwatch_reference.derived import Derivation

from cardwatch_enricher.message import RawMessage


class Enricher:
    """Adds the fields of ``enriched_transaction.avsc``."""

    def __init__(self, derive: Derivation) -> None:
        self._derive = derive

    def __call__(self, record: Record, source: RawMessage, received_at: int, now: int) -> Record:
        """The silver record of a valid raw one.

        Args:
            record: of ``transaction.avsc``, validated.
            source: the message that it came in.
            received_at: when the broker appended that message, microseconds since epoch UTC.
            now: the time of enriching, microseconds since epoch UTC.
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
