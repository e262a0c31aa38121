"""All use of private parts of Faust and aiokafka, for behaviour that neither has a setting for.

- Messages of transactions that were aborted, or are still open, are not read.
- The broker answers a fetch once it has 64 KiB, or after ``fetch_wait_seconds`` instead of 1.5 s. Answering for every
  single message kept both sides busy with fetches at a few hundred messages per second. The wait must be short because
  aiokafka has one fetch per broker under way, and leaves out the partitions whose messages are not consumed yet:
  messages that arrive in those meanwhile wait until that fetch returns.
- A header's name that is not UTF-8 is read with escapes. aiokafka raises an exception, before anybody sees the message
  and at each restart again, so that one such message would stop the partition for good.
- Nothing is fetched while too many bytes are fetched and not processed yet; both count messages only.
- Where the routine that fetches has ended by an exception, the consumer ends too, and a new one is started. Faust asks
  aiokafka for messages in a way that never looks at that routine, and would wait for ever.
- Offsets are committed by ``stream/application.py`` and not by Faust; a commit that fails is logged and tried again.
- Reading begins where ``LostOffsets`` says. By itself aiokafka goes to the first message where the committed offset is
  gone, and Faust then drops messages until it gets to an offset that it has seen before.

``tests/test_internals.py`` fails when the versions that this was written for change.
"""

import asyncio
import logging
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientTopicPartition
from cardwatch_kafka.configuration import ISOLATION_LEVEL
from cardwatch_kafka.lost_offsets import LostOffsets, LostOffsetsError
from cardwatch_kafka.messages import TopicPartition
from faust.app.base import BootStrategy as FaustBootStrategy
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from cardwatch_enricher.stream.fetch_budget import FetchBudget, message_bytes
from cardwatch_enricher.stream.starting_offsets import seek_to_starts

WRITTEN_FOR: Final = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}

# Faust names a service's logger after the module of its class; the classes below should log under Faust's own name.
_transport_log: Final = logging.getLogger("faust.transport")

# Offset and length, in every version of the format.
_BATCH_START: Final = struct.Struct(">qi")
_FETCH_MIN_BYTES: Final = 64 * 1024
_FETCH_MAX_BYTES: Final = 16 * 1024 * 1024  # of all partitions together, in one answer of a broker
_NO_ROOM_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Fetching:
    """How messages are fetched.

    Attributes:
        wait_seconds: how long the broker waits for more messages before it answers a fetch.
        budget: whether there is room for more.
    """

    wait_seconds: float
    budget: FetchBudget


class FetchedRecords:
    """The record batches of a fetch: as ``MemoryRecords``, but with any bytes as names of headers."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = memoryview(data)
        self._records: Final = MemoryRecords(data)
        self._position = 0

    def size_in_bytes(self) -> int:
        """How many bytes were fetched, those of an incomplete batch included."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether there is another complete batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """The next batch, an iterable of records."""
        batch = self._records.next_batch()
        start = self._position
        (_, length) = _BATCH_START.unpack_from(self._data, start)
        self._position = start + _BATCH_START.size + length
        return batch if isinstance(batch, LegacyRecordBatch) else _Batch(batch, self._data[start : self._position])


class _Batch:
    """A record batch whose records are read in Python if a header's name is not UTF-8."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch: Final = batch
        self._data: Final = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            batch: Any = _DefaultRecordBatchPy(self._data)
            batch._maybe_uncompress()
            batch._buffer = _EscapedText(batch._buffer)
            return iter(list(batch))


class _EscapedText(bytearray):
    """Bytes whose parts, decoded as text, have escapes (``\\xff``) for what is not UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _EscapedText(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "") -> str:
        return super().decode(encoding, "backslashreplace")


class ConsumerThread(AIOKafkaConsumerThread):
    """The thread in which aiokafka runs, heartbeats included."""

    fetching: ClassVar[Fetching]
    lost_offsets: ClassVar[LostOffsets]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Of each partition, as of its last fetch: the offset after the last message, and the next one to fetch.
        self._fetched: dict[ClientTopicPartition, tuple[int, int]] = {}

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = ISOLATION_LEVEL
        consumer._fetch_max_wait_ms = round(self.fetching.wait_seconds * 1000)
        consumer._fetch_min_bytes = _FETCH_MIN_BYTES
        consumer._fetch_max_bytes = _FETCH_MAX_BYTES
        # aiokafka makes these for each fetch, and has no place to give it others.
        fetcher.MemoryRecords = FetchedRecords
        return consumer

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Begin to read the assigned partitions, after each assignment; returns the offsets from which on.

        Raises:
            LostOffsetsError: committed offsets are not there any more; the application has the error, too.
        """
        try:
            starts: Mapping[Any, int] = await self.call_thread(
                seek_to_starts, self._ensure_consumer(), self.lost_offsets
            )
        except LostOffsetsError as error:
            app: Any = self.app
            app.lost_offsets_error = error
            raise
        return starts

    async def _fetch_records(self, consumer: AIOKafkaConsumer, *arguments: Any, **options: Any) -> Any:
        routine = consumer._fetcher._fetch_task
        if routine.done() and not consumer._closed:
            raise ConnectionError("the routine that fetches messages ended") from _exception_of(routine)
        budget = self.fetching.budget
        if not budget.has_room():
            await asyncio.sleep(_NO_ROOM_SECONDS)
            return {}
        assignment = budget.assignment
        records = await super()._fetch_records(consumer, *arguments, **options)
        budget.add(_size(records), assignment)
        for place in consumer.assignment():
            state = consumer._subscription.subscription.assignment.state_value(place)
            if state is not None and state.has_valid_position:
                end = records[place][-1].offset + 1 if place in records else self._fetched.get(place, (0, 0))[0]
                self._fetched[place] = end, state.position
        return records

    def reached(self, partition: TopicPartition, position: int) -> int:
        """The offset up to which there is nothing left to process, for a partition processed up to ``position``.

        After the last message there may be offsets without a message (of an aborted transaction, or of a transaction's
        marker). The consumer has passed them once every message that it fetched is processed.
        """
        (end, passed) = self._fetched.get(ClientTopicPartition(*partition), (0, 0))
        return max(position, passed) if position >= end else position

    async def commit_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets.

        Raises:
            aiokafka.errors.KafkaError: it failed; the next commit makes up for it.
        """
        await self.call_thread(
            self._ensure_consumer().commit,
            {ClientTopicPartition(*partition): OffsetAndMetadata(offset, "") for partition, offset in offsets.items()},
        )

    async def committed_or_first(self, partition: TopicPartition) -> int:
        """Where reading a partition starts: its committed offset, or its first where none is committed.

        Raises:
            aiokafka.errors.KafkaError: the broker did not answer with the offsets.
        """
        place = ClientTopicPartition(*partition)
        consumer = self._ensure_consumer()
        committed = await self.call_thread(consumer.committed, place)
        if committed is not None:
            return int(committed)
        first = await self.call_thread(consumer.beginning_offsets, [place])
        return int(first[place])

    async def last_offsets(self) -> dict[TopicPartition, int]:
        """The broker's answer to where each partition of this member ends, as far as its messages may be read.

        Raises:
            aiokafka.errors.KafkaError: the broker does not answer.
        """
        consumer = self._ensure_consumer()
        ends = await self.call_thread(consumer.end_offsets, list(consumer.assignment()))
        return {TopicPartition(place.topic, place.partition): int(offset) for place, offset in ends.items()}

    def partitions(self) -> set[TopicPartition]:
        """The partitions that this member has now."""
        return {TopicPartition(place.topic, place.partition) for place in self._ensure_consumer().assignment()}

    def end_offset(self, partition: TopicPartition) -> int | None:
        """The partition's end as of the last fetch, or None before the first."""
        offset = self._ensure_consumer().highwater(ClientTopicPartition(*partition))
        return None if offset is None else int(offset)


class FaustApplication(faust.App):
    """A Faust application that only consumes: publishing is librdkafka's, the health endpoint our own."""

    logger = logging.getLogger("faust.app")

    class BootStrategy(FaustBootStrategy):
        """Neither a producer nor a web server is started."""

        enable_kafka_producer = False
        enable_web = False

    def __init__(self, *arguments: Any, fetching: Fetching, lost_offsets: LostOffsets, **options: Any) -> None:
        """As ``faust.App``, with how messages are fetched, and what to do about offsets that are gone."""
        self.lost_offsets_error: LostOffsetsError | None = None
        self._transport_type = _transport_type(fetching, lost_offsets)
        super().__init__(*arguments, **options)

    def _new_transport(self) -> Any:
        return self._transport_type(self.conf.broker_consumer, self)

    @property
    def consumer_thread(self) -> ConsumerThread:
        """The thread of the running consumer."""
        consumer: Any = self.consumer
        thread: ConsumerThread = consumer._thread
        return thread


def _size(records: Mapping[Any, Iterable[Any]]) -> int:
    """How much the fetched messages count in the budget."""
    return sum(
        message_bytes(record.key, record.value, record.headers) for fetched in records.values() for record in fetched
    )


def _exception_of(routine: Any) -> BaseException | None:
    """The exception that ended a routine; None if it was cancelled, or ended without one."""
    return None if routine.cancelled() else routine.exception()


def _transport_type(fetching: Fetching, lost_offsets: LostOffsets) -> type[Transport]:
    class _Thread(ConsumerThread):
        logger = _transport_log

    _Thread.fetching = fetching
    _Thread.lost_offsets = lost_offsets

    class _Consumer(Consumer):
        logger = _transport_log

        def _new_consumer_thread(self) -> ConsumerThread:
            return _Thread(self, loop=self.loop, beacon=self.beacon)

    class _Transport(Transport):
        Consumer: ClassVar[type[Any]] = _Consumer

    return _Transport
