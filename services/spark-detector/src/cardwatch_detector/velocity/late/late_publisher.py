"""Publishes late transactions to their own topic, and counts them, before the micro-batch is committed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
from cardwatch_contracts.late_headers import (
    DETECTOR,
    QUERY,
    SCOPES,
    SILVER_OFFSET,
    SILVER_PARTITION,
    WATERMARK_US,
)
from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_service.logs import get_logger
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_detector.velocity.kafka_clients import MessagePublisher, MessageReader
from cardwatch_detector.velocity.metrics import LateMetrics
from cardwatch_detector.velocity.operator import EVENT_TIME, LATE_OFFSET, LATE_PARTITION, LATE_SCOPE, WATERMARK

_log = get_logger(__name__)


@dataclass(frozen=True)
class LateTopics:
    """Full names of the topics that transactions are read from, and that the late ones go to."""

    silver: str
    late: str


@dataclass(frozen=True, slots=True)
class LateTransaction:
    """A transaction that came when the watermark had passed it.

    Attributes:
        partition: of its silver message; so is the offset.
        event_us: its event time, microseconds.
        watermark_us: the watermark, microseconds.
        scopes: those that would have evaluated it.
    """

    partition: int
    offset: int
    event_us: int
    watermark_us: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class LatePublisher:
    """Publishes the transactions that the operator returned as late.

    Attributes:
        detector: this detector's name.
        decode: the record of a silver message's value.
    """

    detector: str
    topics: LateTopics
    reader: MessageReader
    decode: Callable[[bytes | None], Record]
    publisher: MessagePublisher
    metrics: LateMetrics

    def publish(self, query: str, rows: pa.Table) -> None:
        """Read the late transactions' messages again and publish them; repeating it publishes the same.

        Args:
            query: the query's name, which tells apart the queries of detectors with the same name.
            rows: with the columns ``operator.LATE``.

        Raises:
            CardwatchError: broker or registry do not answer; the micro-batch has to be done again.
        """
        late = late_transactions(rows)
        messages = self._messages(late)
        found = [one for one in late if (one.partition, one.offset) in messages]
        self.publisher.publish(self._outgoing(query, one, messages[one.partition, one.offset]) for one in found)
        self.metrics.count(len(found), _by_scope(found))
        if found:
            _log.info(
                "transactions arrived too late and were not evaluated; they are on the late topic",
                query=query,
                transactions=len(found),
                scopes=_by_scope(found),
                latest_by_seconds=max(one.watermark_us - one.event_us for one in found) / MICROSECONDS_PER_SECOND,
            )
        if len(found) < len(late):
            _log.warning(
                "late transactions are gone from the silver topic and could not be published",
                query=query,
                transactions=len(late) - len(found),
            )

    def _messages(self, late: Iterable[LateTransaction]) -> Mapping[tuple[int, int], ReceivedMessage]:
        """The silver messages of late transactions, by partition and offset."""
        wanted = {(one.partition, one.offset) for one in late}
        start: dict[int, int] = {}
        end: dict[int, int] = {}
        for partition, offset in wanted:
            start[partition] = min(offset, start.get(partition, offset))
            end[partition] = max(offset + 1, end.get(partition, 0))
        messages = self.reader.read(self.topics.silver, start, end)
        return {place: message for message in messages if (place := (message.partition, message.offset)) in wanted}

    def _outgoing(self, query: str, late: LateTransaction, message: ReceivedMessage) -> OutgoingMessage:
        headers = {
            DETECTOR: self.detector,
            QUERY: query,
            SCOPES: ",".join(late.scopes),
            WATERMARK_US: str(late.watermark_us),
            SILVER_PARTITION: str(message.partition),
            SILVER_OFFSET: str(message.offset),
        }
        encoded = tuple((name, text.encode()) for name, text in headers.items())
        key = str(self.decode(message.value)["card_token"]).encode()
        return OutgoingMessage(self.topics.late, key, message.value or b"", encoded)


def late_transactions(rows: pa.Table) -> list[LateTransaction]:
    """The late transactions of the operator's rows, which has one per scope; in the order of their messages."""
    found: dict[tuple[int, int], LateTransaction] = {}
    for row in rows.sort_by([(name, "ascending") for name in (LATE_PARTITION, LATE_OFFSET, LATE_SCOPE)]).to_pylist():
        place = (row[LATE_PARTITION], row[LATE_OFFSET])
        scopes = (*(found[place].scopes if place in found else ()), row[LATE_SCOPE])
        found[place] = LateTransaction(*place, row[EVENT_TIME], row[WATERMARK], scopes)
    return list(found.values())


def _by_scope(late: list[LateTransaction]) -> dict[str, int]:
    scopes = [scope for transaction in late for scope in transaction.scopes]
    return {scope: scopes.count(scope) for scope in dict.fromkeys(scopes)}
