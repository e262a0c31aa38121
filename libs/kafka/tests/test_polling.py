"""The real client reads a message whose header has a name that is not UTF-8, from the broker that it comes with."""

from collections.abc import Iterator
from typing import Any

import pytest
from cardwatch_kafka.polling import poll_messages, received_message
from confluent_kafka import Consumer, Producer
from support.unreadable_headers import send_with_unreadable_header

TOPIC = "hostile"


@pytest.fixture
def servers() -> Iterator[str]:
    """A broker inside the client: librdkafka's mock cluster, which lives as long as its client."""
    producer = Producer({"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 2})
    (broker,) = producer.list_topics(TOPIC, timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"  # noqa: PT022 - the producer lives until the test has ended


def test_headers_that_the_client_cannot_read_count_as_none(servers: str) -> None:
    # Many: Python calls a method differently once it has often been called from one place, and does not check then
    # whether it failed.
    values = [b"hostile %d" % number for number in range(200)]
    send_with_unreadable_header(servers, TOPIC, *values)
    consumer: Any = Consumer({"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    try:
        found: list[Any] = []
        for _ in range(600):
            found += [one for one in poll_messages(consumer, 0.5, 10) if one.error() is None]
            if len(found) == len(values):
                break
        received = [received_message(message) for message in found]
    finally:
        consumer.close()
    assert sorted(message.value or b"" for message in received) == sorted(values)
    assert {message.headers for message in received} == {()}
