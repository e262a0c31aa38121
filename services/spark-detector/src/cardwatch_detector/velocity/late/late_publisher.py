"""Publishes late transactions to their own topic, and counts them, before the micro-batch is committed."""

from dataclasses import dataclass

from cardwatch_contracts.late_headers import (
    DETECTOR,
    QUERY,
    SCOPES,
    SILVER_OFFSET,
    SILVER_PARTITION,
    WATERMARK_US,
)
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_service.logs import get_logger
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_detector.runtime.spark_offsets import partition_offsets
from cardwatch_detector.velocity.kafka_clients import MessagePublisher, MessageReader
from cardwatch_detector.velocity.late.dropped_rows import DroppedRows
from cardwatch_detector.velocity.late.late_search import LateSearch, LateTransaction, LateTransactions
from cardwatch_detector.velocity.metrics import LateMetrics

_log = get_logger(__name__)


@dataclass(frozen=True)
class LateTopics:
    """Full names of the topics that transactions are read from, and that the late ones go to."""

    silver: str
    late: str


@dataclass(frozen=True)
class LatePublisher:
    """Finds and publishes the transactions that a micro-batch dropped.

    Attributes:
        detector: this detector's name.
    """

    detector: str
    topics: LateTopics
    reader: MessageReader
    search: LateSearch
    publisher: MessagePublisher
    metrics: LateMetrics

    def publish(self, query: str, dropped: DroppedRows) -> None:
        """Read the micro-batch's messages again and publish those that were dropped; repeating it publishes the same.

        Args:
            query: the query's name, which tells apart the queries of detectors with the same name.

        Raises:
            CardwatchError: broker or registry do not answer; the micro-batch has to be done again.
        """
        start, end = (partition_offsets(offsets, self.topics.silver) for offsets in dropped.offsets)
        found = self.search.find(self.reader.read(self.topics.silver, start, end), dropped.watermark_us)
        self.publisher.publish(self._outgoing(query, late, dropped.watermark_us) for late in found.transactions)
        self.metrics.count(len(found.transactions), _by_scope(found.transactions))
        self._log_result(query, found, dropped)

    def _outgoing(self, query: str, late: LateTransaction, watermark_us: int) -> OutgoingMessage:
        message = late.message
        headers = {
            DETECTOR: self.detector,
            QUERY: query,
            SCOPES: ",".join(late.scopes),
            WATERMARK_US: str(watermark_us),
            SILVER_PARTITION: str(message.partition),
            SILVER_OFFSET: str(message.offset),
        }
        encoded = tuple((name, text.encode()) for name, text in headers.items())
        return OutgoingMessage(self.topics.late, late.card_token.encode(), message.value or b"", encoded)

    def _log_result(self, query: str, found: LateTransactions, dropped: DroppedRows) -> None:
        if found.transactions:
            earliest_us = min(late.event_us for late in found.transactions)
            _log.info(
                "transactions arrived too late and were not evaluated; they are on the late topic",
                query=query,
                transactions=len(found.transactions),
                scopes=_by_scope(found.transactions),
                latest_by_seconds=(dropped.watermark_us - earliest_us) / MICROSECONDS_PER_SECOND,
            )
        # The dropped rows may include rows of the other topic in the state, the cards' profiles.
        start, end = dropped.offsets
        others = {**end, self.topics.silver: {}} != {**start, self.topics.silver: {}}
        if found.groups > dropped.rows or (found.groups < dropped.rows and not others):
            _log.warning(
                "the number of rows that Spark dropped differs from the number of groups of the late transactions",
                query=query,
                dropped=dropped.rows,
                found=found.groups,
                start=start,
                end=end,
            )


def _by_scope(late: list[LateTransaction]) -> dict[str, int]:
    scopes = [scope for transaction in late for scope in transaction.scopes]
    return {scope: scopes.count(scope) for scope in dict.fromkeys(scopes)}
