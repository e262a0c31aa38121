"""Publishing: a batch goes to the broker as a whole, and is published when every delivery report says so."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from cardwatch_contracts.errors import CardwatchError
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_service import logs
from confluent_kafka import KafkaError, KafkaException, Producer

log = logs.get(__name__)
_client_log: Final = logging.getLogger("librdkafka")


Headers = Sequence[tuple[str, bytes]]


class PublicationFailedError(CardwatchError):
    """The broker refuses to take what must be taken: a topic is missing, or may not be written to."""


class StoppedError(CardwatchError):
    """The service was asked to stop before the work in hand was safe. It is not acknowledged, so nothing is lost."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = ()


class Publisher(Protocol):
    """Where outcomes go; tests use a fake."""

    def publish(self, batch: Sequence[Outgoing]) -> list[int]:
        """Publish a batch and wait until the broker has acknowledged it.

        Returns:
            Indices of messages that the broker will never take, however often it is asked: they are too large.

        Raises:
            PublicationFailedError: it takes none, and waiting will not help.
            StoppedError: the service stops.
        """


# The broker's verdict on the message itself.
_REJECTED: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})

# Its verdict on our right to publish, or on the topic: a person has to change something.
_HOPELESS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._AUTHENTICATION,
    }
)

_POLL_SECONDS: Final = 0.1
_BACKOFF_SECONDS: Final = 1.0


class KafkaPublisher:
    """Publishes with librdkafka: idempotent, acknowledged by all in-sync replicas, in the order given for each key."""

    def __init__(
        self,
        kafka_config: KafkaConfig,
        *,
        delivery_timeout_seconds: float,
        stopped: Callable[[], bool],
        count_error: Callable[[str], None],
    ) -> None:
        """
        Args:
            stopped: whether to give up waiting.
            count_error: told the kind of each failure that is survived.
        """
        self._config: dict[str, Any] = {
            **kafka_config,
            "client.id": "cardwatch-enricher",
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",  # Java's default: every client puts a key into the same partition
            "compression.type": "lz4",
            "linger.ms": 2,
            "delivery.timeout.ms": round(delivery_timeout_seconds * 1000),
            "queue.buffering.max.messages": 200_000,
        }
        self._stopped = stopped
        self._count_error = count_error
        self._producer = Producer(self._config, logger=_client_log)

    def publish(self, batch: Sequence[Outgoing]) -> list[int]:
        rejected: list[int] = []
        pending = list(range(len(batch)))
        while pending:
            reports = self._attempt(batch, pending)
            again = []
            for index in pending:
                error = reports[index]
                if error is None:
                    continue
                if error.code() in _REJECTED:
                    rejected.append(index)
                elif error.code() in _HOPELESS:
                    raise PublicationFailedError(
                        f"the broker does not take messages for {batch[index].topic}: {error.str()}; "
                        "`cardwatch schemas apply` creates the topics, and the service needs the right to write to them"
                    )
                else:
                    again.append(index)
            if again:
                self._survive(len(again), reports[again[0]])
            pending = again
        return rejected

    def _attempt(self, batch: Sequence[Outgoing], pending: list[int]) -> dict[int, KafkaError | None]:
        """Produce the pending messages once; the report of each."""
        reports: dict[int, KafkaError | None] = {}
        for index in pending:
            self._produce(batch[index], index, reports)
        while len(reports) < len(pending):
            self._check_stopped()
            self._producer.flush(_POLL_SECONDS)
        return reports

    def _produce(self, message: Outgoing, index: int, reports: dict[int, KafkaError | None]) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers) or None,
                    on_delivery=partial(_report, reports, index),
                )
            except BufferError:  # librdkafka's queue is full: let it drain
                self._check_stopped()
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                reports[index] = error.args[0]
                return
            else:
                return

    def _survive(self, count: int, error: KafkaError | None) -> None:
        """After a failure that may pass: say so, wait a little, and replace a producer that is beyond use."""
        self._count_error("publish_retried")
        log.warning("publication is repeated", messages=count, error=str(error))
        if error is not None and error.fatal():
            self._producer = Producer(self._config, logger=_client_log)
        self._check_stopped()
        time.sleep(_BACKOFF_SECONDS)

    def _check_stopped(self) -> None:
        if self._stopped():
            raise StoppedError("stopped while the broker had not acknowledged everything; it is repeated after a start")


def _report(reports: dict[int, KafkaError | None], index: int, error: KafkaError | None, _message: Any) -> None:
    reports[index] = error
