"""What all readers do with a client: take the messages that have arrived, and translate them."""

from operator import methodcaller
from typing import Any, Final, cast

from cardwatch_units.timestamps import now_microseconds
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, Message

from cardwatch_kafka.messages import Headers, ReceivedMessage, broker_time_from

# ``message.headers()`` written out would crash the process: where a header's name is not UTF-8, the client's C code
# returns a broken list with an exception pending, and Python does not look for one any more once it has often called
# the method from one place. A call from C code always looks, and raises SystemError.
_read_headers: Final = methodcaller("headers")


def poll_messages(consumer: Any, timeout_seconds: float, limit: int) -> list[Message]:
    """Up to ``limit`` messages as soon as there is one; empty after the timeout.

    With a timeout, ``consume`` waits until it has ``limit`` messages; without one it takes those that have arrived.
    """
    first = consumer.poll(timeout_seconds)
    return [] if first is None else [first, *consumer.consume(limit - 1, 0)]


def received_message(message: Message) -> ReceivedMessage:
    """A message of the client that is not an error, as a plain value."""
    (kind, millis) = message.timestamp()
    return ReceivedMessage(
        topic=cast(str, message.topic()),
        partition=cast(int, message.partition()),
        offset=cast(int, message.offset()),
        key=message.key(),
        value=message.value(),
        headers=tuple(_headers(message)),
        broker_time=_broker_time(kind, millis),
    )


def _broker_time(kind: int, milliseconds: int) -> int | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return broker_time_from(milliseconds, read_at=now_microseconds() if kind == TIMESTAMP_CREATE_TIME else None)


def _headers(message: Message) -> Headers:
    """The headers; none where the client cannot read them, since a name is not UTF-8."""
    try:
        headers: Any = _read_headers(message)
    except (UnicodeDecodeError, SystemError):  # SystemError: raised by C code that does not expect the first
        return ()
    return headers or ()
