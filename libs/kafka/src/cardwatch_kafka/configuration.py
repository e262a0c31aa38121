"""Settings of the Kafka clients: what every producer and every consumer of Cardwatch has in common.

A service adds its own timeouts, waits and names as overrides; what keeps messages safe cannot be overridden.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from cardwatch_service.settings import KafkaConfig

__all__ = ["CLIENT_LOGGER", "ISOLATION_LEVEL", "KafkaConfig", "admin_config", "consumer_config", "producer_config"]

# Messages of transactions that were aborted, or are still open, reach no consumer. Librdkafka's name of the setting and
# its value are also those of Java (Spark: `kafka.isolation.level`) and of aiokafka.
ISOLATION_LEVEL: Final = "read_committed"

# Where librdkafka's own log lines go.
CLIENT_LOGGER: Final = logging.getLogger("librdkafka")

_LOG_CRITICAL: Final = 2

# How many bytes of messages a client keeps: librdkafka's defaults are a gigabyte to send, and 64 MB read ahead. One
# message may always be larger.
_PRODUCER_LIMITS: Final[KafkaConfig] = {"queue.buffering.max.kbytes": 64 * 1024}
_CONSUMER_LIMITS: Final[KafkaConfig] = {
    "queued.max.messages.kbytes": 16 * 1024,
    "fetch.max.bytes": 16 * 1024 * 1024,  # in one answer of a broker
    "max.partition.fetch.bytes": 1024 * 1024,
}

_SAFE_PRODUCER: Final[KafkaConfig] = {
    "enable.idempotence": True,
    "acks": "all",
    # As Java clients do, so that a key is in the same partition whoever wrote it.
    "partitioner": "murmur2_random",
}
# Librdkafka's own default is the end of the topic, which would pass over all that is there.
_FROM_THE_BEGINNING: Final[KafkaConfig] = {"auto.offset.reset": "earliest"}
_SAFE_CONSUMER: Final[KafkaConfig] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": ISOLATION_LEVEL,
}


def producer_config(connection: KafkaConfig, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of an idempotent producer whose messages are acknowledged by all in-sync replicas.

    Args:
        connection: ``bootstrap.servers`` and security, as ``ServiceSettings.kafka_config()`` returns them.
        overrides: the service's own settings of librdkafka.
    """
    return {**_PRODUCER_LIMITS, **connection, **(overrides or {}), **_SAFE_PRODUCER}


def consumer_config(connection: KafkaConfig, group: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a consumer that reads committed messages only and commits no offset by itself.

    Where it has no offset to begin with, or one that is gone, it reads from the first message unless ``overrides`` say
    otherwise.

    Args:
        connection: ``bootstrap.servers`` and security, as ``ServiceSettings.kafka_config()`` returns them.
        group: the consumer group. Librdkafka requires one of readers that join none, too.
        overrides: the service's own settings of librdkafka.
    """
    safe = {"group.id": group, **_SAFE_CONSUMER}
    return {**_CONSUMER_LIMITS, **_FROM_THE_BEGINNING, **connection, **(overrides or {}), **safe}


def admin_config(connection: KafkaConfig) -> dict[str, Any]:
    """Settings of a client that asks about topics; its failures are raised and need no log lines of their own."""
    return {**connection, "log_level": _LOG_CRITICAL}
