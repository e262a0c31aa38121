"""Reading the topics of a pipeline from outside, without a consumer group."""

from typing import Final

from cardwatch_kafka.range_reader import RangeReader

_SILENCE_SECONDS: Final = 20.0
_LOG_CRITICAL: Final = 2  # failures are raised and need no log lines


def open_reader(bootstrap_servers: str) -> RangeReader:
    """A reader of topics, to be closed."""
    return RangeReader(
        {"bootstrap.servers": bootstrap_servers},
        "cardwatch-demo-reader",
        {"fetch.wait.max.ms": 50, "log_level": _LOG_CRITICAL},
        silence_seconds=_SILENCE_SECONDS,
    )


def count_messages(reader: RangeReader, *topics: str) -> int:
    """The number of messages that were ever appended to topics that are not compacted.

    Raises:
        KafkaClientError: the broker does not answer, or has no such topic.
    """
    return sum(reader.end_offsets(*topics).values())
