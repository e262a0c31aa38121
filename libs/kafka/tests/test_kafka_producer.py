"""How the producer and the batch publisher handle the broker's answers, with a fake client."""

from collections.abc import Callable
from typing import Any

import pytest
from cardwatch_kafka.configuration import admin_config, consumer_config, producer_config
from cardwatch_kafka.errors import (
    BrokerUnavailableError,
    DeliveryError,
    ErrorKind,
    MissingTopicError,
    ProducerFatalError,
    StoppedError,
    classify_error,
    translate_error,
)
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.publisher import BatchPublisher
from confluent_kafka import KafkaError, KafkaException

CONNECTION: dict[str, Any] = {"bootstrap.servers": "broker:9092"}


def message(value: bytes = b"v") -> OutgoingMessage:
    return OutgoingMessage("topic", b"k", value, (("name", b"content"),))


class FakeClient:
    """A client whose delivery reports carry ``answers`` in turn; None, and all after the last, are acknowledgements.

    Attributes:
        capacity: how many messages fit into its queue before reports are called.
        answering: whether it gives reports at all.
    """

    def __init__(self, config: dict[str, Any], logger: Any) -> None:
        self.config = config
        self.produced: list[tuple[Any, ...]] = []
        self.waiting: list[Callable[..., None]] = []
        self.answers: list[KafkaError | None] = []
        self.capacity = 1_000
        self.answering = True
        self.immediate: KafkaError | None = None

    def produce(self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: Any) -> None:
        if len(self.waiting) >= self.capacity:
            raise BufferError
        if self.immediate is not None:
            raise KafkaException(self.immediate)
        self.produced.append((topic, key, value, headers, partition))
        self.waiting.append(on_delivery)

    def poll(self, seconds: float) -> int:
        return self.flush(seconds)

    def flush(self, seconds: float) -> int:
        while self.answering and self.waiting:
            self.waiting.pop(0)(self.answers.pop(0) if self.answers else None, None)
        return len(self.waiting)

    def __len__(self) -> int:
        return len(self.waiting)


class Bench:
    """A producer with a fake client, which can be replaced by others."""

    def __init__(self) -> None:
        self.clients: list[FakeClient] = []
        self.stopped = False
        self.retries = 0
        self.slept: list[float] = []
        self.producer = KafkaProducer(
            producer_config(CONNECTION), stopped=lambda: self.stopped, make_client=self._make_client
        )
        self.publisher = BatchPublisher(self.producer, count_retry=self._count_retry, sleep=self.slept.append)

    @property
    def client(self) -> FakeClient:
        return self.clients[-1]

    def _make_client(self, config: dict[str, Any], logger: Any) -> FakeClient:
        self.clients.append(FakeClient(config, logger))
        return self.clients[-1]

    def _count_retry(self) -> None:
        self.retries += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def error(code: int) -> KafkaError:
    return KafkaError(code)


def test_no_override_makes_a_client_unsafe() -> None:
    producer = producer_config(CONNECTION, {"acks": "1", "linger.ms": 5})
    assert producer["acks"] == "all"
    assert producer["enable.idempotence"] is True
    assert producer["partitioner"] == "murmur2_random"
    assert producer["linger.ms"] == 5
    consumer = consumer_config(CONNECTION, "group", {"isolation.level": "read_uncommitted", "fetch.wait.max.ms": 20})
    assert consumer["isolation.level"] == "read_committed"
    assert consumer["enable.auto.commit"] is False
    assert (consumer["group.id"], consumer["fetch.wait.max.ms"]) == ("group", 20)
    assert admin_config(CONNECTION)["bootstrap.servers"] == "broker:9092"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, ErrorKind.REJECTED),
        (KafkaError.INVALID_RECORD, ErrorKind.REJECTED),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ErrorKind.MISSING_TOPIC),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ErrorKind.FORBIDDEN),
        (KafkaError._AUTHENTICATION, ErrorKind.FORBIDDEN),
        (KafkaError.NOT_LEADER_FOR_PARTITION, ErrorKind.LEADER_CHANGE),
        (KafkaError.FENCED_LEADER_EPOCH, ErrorKind.LEADER_CHANGE),
        (KafkaError._TRANSPORT, ErrorKind.UNAVAILABLE),
        (KafkaError._FATAL, ErrorKind.FATAL),
        (KafkaError._MSG_TIMED_OUT, ErrorKind.RETRYABLE),
    ],
)
def test_errors_are_classified(code: int, kind: ErrorKind) -> None:
    assert classify_error(error(code)) is kind


def test_errors_become_one_sentence_that_says_what_to_do() -> None:
    missing = translate_error(error(KafkaError.UNKNOWN_TOPIC_OR_PART), "read", topic="alerts.v1", servers="broker:9092")
    assert isinstance(missing, MissingTopicError)
    assert str(missing) == "there is no topic alerts.v1 at broker:9092: `cardwatch schemas apply` creates the topics"
    away = translate_error(
        KafkaException(error(KafkaError._TRANSPORT)), "read", topic="alerts.v1", servers="broker:9092"
    )
    assert isinstance(away, BrokerUnavailableError)
    assert "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS" in str(away)
    assert away.code == KafkaError._TRANSPORT


def test_a_batch_is_delivered_with_keys_headers_and_partitions(bench: Bench) -> None:
    plain = OutgoingMessage("other", None, None, partition=3)
    assert bench.producer.deliver([message(), plain]).failed == []
    assert bench.client.produced == [
        ("topic", b"k", b"v", [("name", b"content")], -1),
        ("other", None, None, None, 3),
    ]


def test_a_full_queue_is_waited_for(bench: Bench) -> None:
    bench.client.capacity = 2
    assert bench.producer.deliver([message()] * 7).sent == 7
    assert len(bench.client.produced) == 7


def test_a_stop_ends_the_wait_for_a_full_queue_and_for_reports(bench: Bench) -> None:
    bench.client.answering, bench.stopped = False, True
    with pytest.raises(StoppedError):
        bench.producer.deliver([message()])
    bench.client.capacity = 1
    with pytest.raises(StoppedError):
        bench.producer.deliver([message()])


def test_a_queue_that_stays_full_is_waited_for_no_longer_than_for_reports(bench: Bench) -> None:
    bench.client.capacity, bench.client.answering = 1, False
    result = bench.producer.deliver([message()] * 3, timeout_seconds=0.01)
    assert (result.sent, list(result.failed), result.unanswered) == (3, [], 3)


def test_a_fatal_error_ends_the_wait_for_a_full_queue(bench: Bench) -> None:
    bench.client.capacity, bench.client.answering = 0, False
    bench.client.config["error_cb"](KafkaError(KafkaError._FATAL, "fenced", fatal=True))
    assert bench.producer.fatal_error is not None
    with pytest.raises(ProducerFatalError, match="fenced"):
        bench.producer.send(message(), lambda *_: None)


def test_failures_and_missing_reports_are_distinguished(bench: Bench) -> None:
    bench.client.answers = [None, error(KafkaError.TOPIC_AUTHORIZATION_FAILED)]
    result = bench.producer.deliver([message()] * 3)
    assert [one.index for one in result.failed] == [1]
    with pytest.raises(DeliveryError, match=r"1 of 3 messages were not published: topic topic at b may not be written"):
        result.require_all("b")
    bench.client.answering = False
    result = bench.producer.deliver([message()], 0.05)
    assert (list(result.failed), result.unanswered) == ([], 1)
    with pytest.raises(DeliveryError, match="1 of 1 messages were not acknowledged by b in time"):
        result.require_all("b")


def test_what_the_client_refuses_at_once_is_a_failed_delivery(bench: Bench) -> None:
    bench.client.immediate = error(KafkaError.MSG_SIZE_TOO_LARGE)
    assert [one.error.code() for one in bench.producer.deliver([message()]).failed] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_only_what_failed_is_sent_again_until_it_is_acknowledged(bench: Bench) -> None:
    passing = error(KafkaError._MSG_TIMED_OUT)
    bench.client.answers = [None, passing, error(KafkaError.MSG_SIZE_TOO_LARGE), passing, None, passing]
    batch = [message(str(number).encode()) for number in range(4)]
    assert bench.publisher.publish(batch) == [2]
    assert [value for _, _, value, _, _ in bench.client.produced] == [b"0", b"1", b"2", b"3", b"1", b"3", b"3"]
    assert (bench.retries, bench.slept) == (2, [1.0, 1.0])
    assert len(bench.clients) == 1


def test_permanent_errors_are_raised(bench: Bench) -> None:
    bench.client.answers = [error(KafkaError.UNKNOWN_TOPIC_OR_PART)]
    with pytest.raises(DeliveryError, match="`cardwatch schemas apply`"):
        bench.publisher.publish([message()])


def test_a_client_that_can_never_send_again_is_replaced(bench: Bench) -> None:
    bench.client.immediate = error(KafkaError._FATAL)
    assert bench.publisher.publish([message()]) == []
    assert len(bench.clients) == 2
    assert len(bench.client.produced) == 1


def test_a_stop_ends_the_retries(bench: Bench) -> None:
    bench.client.answers = [error(KafkaError._MSG_TIMED_OUT)] * 5
    original = bench.client.flush

    def flush(seconds: float) -> int:
        left = original(seconds)
        bench.stopped = True
        return left

    bench.client.flush = flush  # type: ignore[method-assign]
    with pytest.raises(StoppedError):
        bench.publisher.publish([message()])
