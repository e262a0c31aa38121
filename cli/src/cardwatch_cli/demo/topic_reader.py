"""Reading topics from outside the line: where they end, and everything that is in them."""

import time
from collections.abc import Iterator
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

_TIMEOUT_SECONDS: Final = 20.0
_GATHER_SECONDS: Final = 0.2
_BATCH: Final = 5_000
_FIRST: Final = 0

# A busy broker loses its leadership for a moment, which is no reason to end a run.
_PATIENTLY: Final = Retrying(
    retry=retry_if_exception_type(KafkaException),
    stop=stop_after_delay(30),
    wait=wait_fixed(0.5),
    reraise=True,
)

Partition = tuple[str, int]


class TopicReader:
    """Looks at topics without joining a consumer group or committing anything. Not for use from several threads."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer: Final = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "cardwatch-demo-reader",  # required by the client, never used
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 2,  # what it fails with is raised, not logged
            }
        )
        self._admin: Final = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})
        self._partitions: dict[str, list[int]] = {}

    def end_offsets(self, *topics: str) -> dict[Partition, int]:
        """The offset after the last message of every partition.

        Raises:
            CardwatchError: the broker does not answer or has no such topic.
        """
        asked = {
            TopicPartition(topic, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in topics
            for partition in self._partitions_of(topic)
        }
        try:
            for attempt in _PATIENTLY:
                with attempt:  # one request for all of them
                    futures = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_SECONDS)
                    return {(at.topic, at.partition): future.result().offset for at, future in futures.items()}
        except KafkaException as error:
            raise CardwatchError(f"the broker does not say where {', '.join(topics)} end: {error}") from error
        raise AssertionError("the last attempt returns or raises")

    def count(self, *topics: str) -> int:
        """How many messages were ever appended to the topics (none of them is compacted)."""
        return sum(self.end_offsets(*topics).values())

    def messages(self, topic: str) -> Iterator[Any]:
        """Every message of a topic up to where it ends now, in order within a partition.

        Raises:
            CardwatchError: the broker stops answering before the end is reached.
        """
        ends = {partition: end for (_, partition), end in self.end_offsets(topic).items() if end > _FIRST}
        self._consumer.assign([TopicPartition(topic, partition, _FIRST) for partition in ends])
        try:
            heard = time.monotonic()
            while ends:
                # `consume` waits until it has as many as asked for, or the time is over: so a short time.
                batch = self._consumer.consume(_BATCH, timeout=_GATHER_SECONDS)
                if batch:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _TIMEOUT_SECONDS:
                    raise CardwatchError(f"the broker gave no message of {topic} for {_TIMEOUT_SECONDS:.0f} s")
                for message in batch:
                    if message.error():
                        raise CardwatchError(f"{topic} cannot be read: {message.error()}")
                    partition, offset = message.partition(), message.offset()
                    assert partition is not None and offset is not None  # noqa: PT018 - it came from a broker
                    end = ends.get(partition, _FIRST)
                    if offset < end:
                        yield message
                    if offset >= end - 1:
                        ends.pop(partition, None)
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _partitions_of(self, topic: str) -> list[int]:
        if topic not in self._partitions:
            try:
                metadata = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
            except KafkaException as error:
                raise CardwatchError(f"the broker does not answer: {error}") from error
            if metadata.error is not None:
                raise CardwatchError(f"topic {topic} is not there: {metadata.error}")
            self._partitions[topic] = sorted(metadata.partitions)
        return self._partitions[topic]
