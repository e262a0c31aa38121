"""Messages to Kafka: a micro-batch is done only when the broker has acknowledged all of them."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

from cardwatch_contracts.errors import CardwatchError
from cardwatch_kafka.configuration import KafkaConfig
from confluent_kafka import KafkaError, Message, Producer

_DELIVERY_SECONDS: Final = 120


class Outgoing(NamedTuple):
    """A message to publish."""

    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Publisher(Protocol):
    """Publishes what a micro-batch has for one topic; tests use a fake."""

    def publish(self, messages: Iterable[Outgoing]) -> int:
        """Publish messages and wait until all are acknowledged; returns how many.

        Raises:
            CardwatchError: not all were; the batch has to be done again.
        """


class KafkaPublisher:
    """Publishes with an idempotent producer, so that messages of one key stay in order."""

    def __init__(self, kafka: KafkaConfig, topic: str) -> None:
        self._topic = topic
        self._producer: Final = Producer(
            {
                **kafka,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "compression.type": "lz4",
                # As Java clients place keys, so that a key is in the same partition whoever wrote it.
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": _DELIVERY_SECONDS * 1000,
            }
        )

    def publish(self, messages: Iterable[Outgoing]) -> int:
        failures: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error.str())

        sent = 0
        for message in messages:
            self._produce(message, delivered)
            sent += 1
        outstanding = self._producer.flush(_DELIVERY_SECONDS + 5)
        if failures or outstanding:
            why = failures[0] if failures else "no acknowledgement in time"
            raise CardwatchError(
                f"{len(failures) + outstanding} of {sent} messages for {self._topic} were not published: {why}"
            )
        return sent

    def _produce(self, message: Outgoing, delivered: Any) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    key=message.key.encode(),
                    value=message.value,
                    headers=list(message.headers),
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return
