"""What the detector asks Kafka for besides Spark."""

from collections import Counter
from contextlib import closing
from typing import Final

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_contracts.registry_outages import WINDOW_MESSAGES
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_kafka.range_reader import RangeReader

NEWEST_MESSAGES: Final = WINDOW_MESSAGES
# The client requires the name of a consumer group; none is joined and no offset committed. It is that of earlier
# versions, which read late transactions with it, so that the rights that a broker gives it stay as they are.
_READER_NAME: Final = "cardwatch-late"
_READER_CONFIG: Final[KafkaConfig] = {
    # An outage is reported by an error with one sentence, not by the client's own lines on standard error.
    "log_level": 0,
    "fetch.wait.max.ms": 20,
}


def topic_reader(kafka: KafkaConfig) -> RangeReader:
    """Reads ranges of topics; it has to be closed."""
    return RangeReader(kafka, _READER_NAME, _READER_CONFIG)


def newest_schema_ids(kafka: KafkaConfig, topic: str) -> Counter[int]:
    """The schema ids of a topic's newest messages, about NEWEST_MESSAGES of them, with the number of messages.

    Raises:
        RegistryUnavailableError: the broker does not answer, so that nothing is known about the registry either.
    """
    with closing(topic_reader(kafka)) as reader:
        try:
            ends = {at.partition: offset for at, offset in reader.end_offsets(topic).items()}
            starts = {at: max(0, offset - NEWEST_MESSAGES // len(ends)) for at, offset in ends.items()}
            values = [message.value for message in reader.read(topic, starts, ends)]
        except CardwatchError as error:
            raise RegistryUnavailableError(f"the newest messages of {topic} cannot be read: {error}") from error
    frames = [HEADER.unpack_from(value) for value in values if value is not None and len(value) >= HEADER.size]
    return Counter(schema_id for magic, schema_id in frames if magic == MAGIC_BYTE)
