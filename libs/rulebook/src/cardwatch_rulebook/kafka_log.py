"""``log`` on Kafka. Order is what counts here, so everything is written to and read from partition 0."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_service import logs
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from cardwatch_rulebook.log import Batch, Entry

PARTITION: Final = 0

_TIMEOUT_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 5.0
_FETCH_WAIT_MS: Final = 50
_MESSAGES_AT_ONCE: Final = 1_000
_FIRST: Final = 0

_MISSING: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
)
# A broker that has just started, or lost its leadership for a moment: no reason to give up.
_LEADERLESS: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
_AWAY: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})
_PASSING: Final = _LEADERLESS | _AWAY

# Of an outage people learn by a sentence or a log line of ours, not by the client's own on standard error.
_COMMON: Final[KafkaConfig] = {"log_level": 0, "reconnect.backoff.max.ms": 1_000}
_CONSUMER: Final[KafkaConfig] = {
    **_COMMON,
    "group.id": "cardwatch-rulebook",  # required by the client; no offset is ever committed
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "fetch.wait.max.ms": _FETCH_WAIT_MS,
    "fetch.error.backoff.ms": 100,
}
_PRODUCER: Final[KafkaConfig] = {
    **_COMMON,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "delivery.timeout.ms": round(_TIMEOUT_SECONDS * 1000),
}

log = logs.get(__name__)


class KafkaLog:
    """One topic, read to its end and appended to. Not for use from several threads."""

    def __init__(self, kafka_config: KafkaConfig, topic: str) -> None:
        self._config: Final = kafka_config
        self._topic: Final = topic
        self._next = _FIRST
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None

    def read(self) -> list[Entry]:
        """What was appended since the last ``read``, up to the high watermark.

        Raises:
            CardwatchError: the broker does not answer, or has no such topic.
        """
        if self._consumer is None:
            self._consumer = Consumer({**self._config, **_CONSUMER})
        consumer = self._consumer
        end = self._end(consumer)
        entries: list[Entry] = []
        if self._next >= end:
            return entries
        consumer.assign([TopicPartition(self._topic, PARTITION, self._next)])
        try:
            heard = time.monotonic()
            while self._next < end:
                for message in _taken(consumer, _FETCH_WAIT_MS / 1000):
                    heard = time.monotonic()
                    error = message.error()
                    if error is None:
                        entries.append(_entry(message))
                        self._next = entries[-1].offset + 1
                    elif error.code() == KafkaError._PARTITION_EOF:
                        # Past messages that compaction has removed at the end, if there are such.
                        self._next = max(self._next, message.offset() or _FIRST)
                    elif error.code() not in _PASSING:
                        raise CardwatchError(self._cannot("be read", error))
                if time.monotonic() - heard > _TIMEOUT_SECONDS:
                    raise CardwatchError(f"the broker gave no message of {self._topic} for {_TIMEOUT_SECONDS:.0f} s")
        finally:
            consumer.unassign()
        return entries

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Append keys and values, in order, and wait until all in-sync replicas have them.

        Raises:
            CardwatchError: the broker does not take them. Whether some of them are there is then unknown.
        """
        if self._producer is None:
            self._producer = Producer({**self._config, **_PRODUCER})
        failures: list[Any] = []
        _produce(self._producer, self._topic, messages, failures.append)
        left = self._producer.flush(_TIMEOUT_SECONDS + 1)
        if failures:
            raise CardwatchError(self._cannot("be written to", failures[0]))
        if left:
            raise CardwatchError(f"the broker did not take what was written to {self._topic} in time")

    def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._producer = None

    def _end(self, consumer: Consumer) -> int:
        try:
            for attempt in _while_leaders_change():
                with attempt:
                    watermarks = consumer.get_watermark_offsets(
                        TopicPartition(self._topic, PARTITION), timeout=_ANSWER_SECONDS, cached=False
                    )
        except KafkaException as error:
            raise CardwatchError(self._cannot("be read", error.args[0])) from error
        if watermarks is None:
            raise CardwatchError(f"the broker does not say where {self._topic} ends")
        return int(watermarks[1])

    def _cannot(self, what: str, error: KafkaError) -> str:
        if error.code() in _MISSING:
            return f"topic {self._topic} is not there: run `cardwatch schemas apply`"
        broker = self._config.get("bootstrap.servers")
        if error.code() in _AWAY:
            return f"the broker at {broker} does not answer; is it up, and is CARDWATCH_KAFKA_BOOTSTRAP_SERVERS right?"
        return f"topic {self._topic} of the broker at {broker} cannot {what}: {error.str()}"


class KafkaOutbox:
    """Writes to a topic without waiting; for one thread."""

    def __init__(self, kafka_config: KafkaConfig, topic: str) -> None:
        self._topic: Final = topic
        # However long an outage lasts: nobody waits for it, and what is told once must not be lost.
        self._producer: Final = Producer({**kafka_config, **_PRODUCER, "delivery.timeout.ms": 0})

    def post(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hand over keys and values; what the broker refuses is logged."""
        _produce(self._producer, self._topic, messages, self._failed)

    def close(self) -> None:
        """Wait a moment for what is on its way."""
        self._producer.flush(_CLOSE_SECONDS)

    def _failed(self, error: KafkaError) -> None:
        log.warning("message not delivered", topic=self._topic, why=error.str())


class KafkaFeed:
    """Topics read from the beginning and then followed; for one thread."""

    def __init__(self, kafka_config: KafkaConfig, topics: Iterable[str]) -> None:
        self._topics: Final = frozenset(topics)
        self._problem = ""
        self._consumer: Final = Consumer({**kafka_config, **_CONSUMER, "error_cb": self._on_error})
        self._consumer.assign([TopicPartition(topic, PARTITION, _FIRST) for topic in sorted(self._topics)])

    @property
    def topics(self) -> frozenset[str]:
        """Which topics."""
        return self._topics

    def poll(self, timeout_seconds: float) -> Batch:
        """What came, as soon as something comes; an empty batch after ``timeout_seconds``. Outages raise nothing."""
        entries: list[Entry] = []
        at_end: set[str] = set()
        self._problem = ""
        for message in _taken(self._consumer, timeout_seconds):
            error = message.error()
            if error is None:
                entries.append(_entry(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end.add(str(message.topic()))
            elif error.code() in _MISSING:
                self._problem = f"topic {message.topic()} is not there: run `cardwatch schemas apply`"
            else:
                self._problem = error.str()
        return Batch(tuple(entries), frozenset(at_end), self._problem)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _on_error(self, error: KafkaError) -> None:
        self._problem = error.str()


def _while_leaders_change() -> Retrying:
    """Tries again for some seconds where the broker answers that another leads, or none yet."""

    def passes(error: BaseException) -> bool:
        return isinstance(error, KafkaException) and error.args[0].code() in _LEADERLESS

    return Retrying(
        retry=retry_if_exception(passes), stop=stop_after_delay(_ANSWER_SECONDS), wait=wait_fixed(0.1), reraise=True
    )


def _taken(consumer: Consumer, timeout_seconds: float) -> list[Message]:
    """What is there, as soon as one message is: ``consume`` alone would wait until it has as many as it may take."""
    first = consumer.poll(timeout_seconds)
    return [] if first is None else [first, *consumer.consume(_MESSAGES_AT_ONCE, timeout=0)]


def _entry(message: Message) -> Entry:
    topic, offset, key = message.topic(), message.offset(), message.key()
    assert topic is not None and offset is not None  # noqa: PT018 - it came from a broker
    return Entry(topic, offset, key.encode() if isinstance(key, str) else key, _bytes(message.value()))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _produce(
    producer: Producer, topic: str, messages: Sequence[tuple[str, bytes]], on_failure: Callable[[Any], object]
) -> None:
    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            on_failure(error)

    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key.encode(), PARTITION, on_delivery=delivered)
            except BufferError:  # the queue is full: what is in it has to go first
                producer.poll(0.1)
            else:
                break
    producer.poll(0)
