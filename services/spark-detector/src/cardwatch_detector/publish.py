"""Alerts to Kafka: a micro-batch is done only when the broker has acknowledged all of them."""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.setup import KafkaConfig
from confluent_kafka import KafkaError, Message, Producer

_DELIVERY_SECONDS: Final = 120


class AlertPublisher(Protocol):
    """Publishes the alerts of a micro-batch; tests use a fake."""

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> int:
        """Publish (key, value) pairs and wait until all are acknowledged; returns how many.

        Raises:
            CardwatchError: not all were; the batch has to be done again.
        """


class KafkaAlertPublisher:
    """Publishes with an idempotent producer, so that alerts of one key stay in order."""

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

    def publish(self, messages: Iterable[tuple[str, bytes]]) -> int:
        failures: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error.str())

        sent = 0
        for key, value in messages:
            self._produce(key.encode(), value, delivered)
            sent += 1
        outstanding = self._producer.flush(_DELIVERY_SECONDS + 5)
        if failures or outstanding:
            why = failures[0] if failures else "no acknowledgement in time"
            raise CardwatchError(f"{len(failures) + outstanding} of {sent} alerts were not published: {why}")
        return sent

    def _produce(self, key: bytes, value: bytes, delivered: Any) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, on_delivery=delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return
