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


def test_a_header_that_the_client_cannot_read_counts_as_none(servers: str) -> None:
    send_with_unreadable_header(servers, TOPIC, b"hostile")
    consumer: Any = Consumer({"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    try:
        found: list[Any] = []
        for _ in range(60):
            found += poll_messages(consumer, 0.5, 10)
            if found:
                break
        (message,) = [received_message(one) for one in found if one.error() is None]
    finally:
        consumer.close()
    assert (message.value, message.headers) == (b"hostile", ())
