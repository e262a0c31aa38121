"""Faust's Kafka transport with three changes, each of which Faust has no setting for.

- Messages of transactions that were aborted, or are still open, are not read.

- A fetch that finds little is held by the broker for ``fetch_wait_seconds``, and not for 1.5 s; nor is it answered with
  every single message, which at a few hundred a second kept both sides busy with fetches. aiokafka has one fetch
  a broker on its way, without the partitions whose messages are not consumed yet; what arrives in those meanwhile waits
  for that fetch to return.
- Offsets are committed by us (see ``positions.py``), and a commit that fails is an error to survive, not a crash.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from cardwatch_kafka.configuration import ISOLATION_LEVEL
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from cardwatch_enricher.positions import Partition

# Faust names a service's logger after its class's module; these are Faust's all the same.
_log = logging.getLogger("faust.transport")


_FETCH_MIN_BYTES: Final = 64 * 1024


class ConsumerThread(AIOKafkaConsumerThread):
    """The thread in which aiokafka runs, heartbeats included."""

    fetch_wait_seconds: ClassVar[float] = 0.1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Of each partition, as of its last fetch: the offset after the last message, and the next one to fetch.
        self._fetched: dict[TopicPartition, tuple[int, int]] = {}

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = ISOLATION_LEVEL
        consumer._fetch_max_wait_ms = round(self.fetch_wait_seconds * 1000)
        consumer._fetch_min_bytes = _FETCH_MIN_BYTES
        return consumer

    async def _fetch_records(self, consumer: AIOKafkaConsumer, *arguments: Any, **options: Any) -> Any:
        records = await super()._fetch_records(consumer, *arguments, **options)
        for place in consumer.assignment():
            state = consumer._subscription.subscription.assignment.state_value(place)
            if state is not None and state.has_valid_position:
                end = records[place][-1].offset + 1 if place in records else self._fetched.get(place, (0, 0))[0]
                self._fetched[place] = end, state.position
        return records

    def reached(self, partition: Partition, position: int) -> int:
        """The offset up to which there is nothing left to process, for a partition processed up to ``position``.

        Behind the last message there may be offsets without one (of an aborted transaction, a transaction's marker):
        the consumer has passed them where every message that it fetched is processed.
        """
        (end, passed) = self._fetched.get(TopicPartition(*partition), (0, 0))
        return max(position, passed) if position >= end else position

    async def commit_positions(self, offsets: Mapping[Partition, int]) -> None:
        """Commit offsets.

        Raises:
            aiokafka.errors.KafkaError: it failed; the next commit makes up for it.
        """
        await self.call_thread(
            self._ensure_consumer().commit,
            {TopicPartition(*partition): OffsetAndMetadata(offset, "") for partition, offset in offsets.items()},
        )

    async def committed_or_first(self, partition: Partition) -> int:
        """Where reading a partition starts: its committed offset, or its first where none is committed.

        Raises:
            aiokafka.errors.KafkaError: the broker does not say.
        """
        place = TopicPartition(*partition)
        consumer = self._ensure_consumer()
        committed = await self.call_thread(consumer.committed, place)
        if committed is not None:
            return int(committed)
        first = await self.call_thread(consumer.beginning_offsets, [place])
        return int(first[place])

    def partitions(self) -> set[Partition]:
        """The partitions that this member has now."""
        return {Partition(place.topic, place.partition) for place in self._ensure_consumer().assignment()}

    def end_offset(self, partition: Partition) -> int | None:
        """The partition's end as of the last fetch, or None before the first."""
        offset = self._ensure_consumer().highwater(TopicPartition(*partition))
        return None if offset is None else int(offset)


def transport_type(fetch_wait_seconds: float) -> type[Transport]:
    """The transport for one setting of ``fetch_wait_seconds``."""

    class _Thread(ConsumerThread):
        logger = _log

    _Thread.fetch_wait_seconds = fetch_wait_seconds

    class _Consumer(Consumer):
        logger = _log

        def _new_consumer_thread(self) -> ConsumerThread:
            return _Thread(self, loop=self.loop, beacon=self.beacon)

    class _Transport(Transport):
        Consumer: ClassVar[type[Any]] = _Consumer

    return _Transport


def broker_urls(bootstrap_servers: str) -> list[str]:
    """``host:port,host:port`` as Faust wants it."""
    servers: Iterable[str] = (server.strip() for server in bootstrap_servers.split(","))
    return [f"kafka://{server}" for server in servers if server]
