"""Timestamps of messages that their producers make up, and topics that keep them.

Services on Spark refuse a topic that takes any timestamp, because a timestamp that its calendar does not have makes
Spark fail. On their topics the broker limits them to a century, as the refusal advises; the other services get any
number of 64 bits.
"""

import time
from collections.abc import Collection, Iterable
from typing import Final

from cardwatch_contracts.topics import Topic

from support.kafka_admin import KafkaAdmin

ON_SPARK: Final = frozenset({"detector", "lakehouse"})

_HOUR_MS: Final = 3_600_000
_YEAR_MS: Final = 365 * 24 * _HOUR_MS
_CENTURY_MS: Final = 100 * _YEAR_MS
_ANY_MS: Final = 2**63 - 1
# 9998-12-31, microseconds and nanoseconds instead of milliseconds, the largest and the smallest numbers.
_NO_TIMES: Final = (-5, 253_370_764_800_001, 1_795_000_000_000_000, 9_300_000_000_000_000, _ANY_MS, -(2**63))


def keep_timestamps(admin: KafkaAdmin, prefix: str, topics: Iterable[Topic], services: Collection[str]) -> None:
    """Let topics keep the timestamps that ``message_timestamps`` makes for these services."""
    limit = str(_CENTURY_MS if ON_SPARK.intersection(services) else _ANY_MS)
    for topic in topics:
        settings = {
            "message.timestamp.type": "CreateTime",
            "message.timestamp.after.max.ms": limit,
            "message.timestamp.before.max.ms": limit,
            # By the messages' own times the broker would begin a file with each, and delete what is old.
            "segment.ms": str(_ANY_MS),
            "retention.ms": "-1",
        }
        admin.set_topic(topic.name(prefix), settings)


def message_timestamps(services: Collection[str]) -> list[int]:
    """Extreme timestamps, milliseconds since 1970, of messages that these services read."""
    now = time.time_ns() // 1_000_000
    ahead = [now + after for after in (2 * _HOUR_MS, _YEAR_MS, 70 * _YEAR_MS, 99 * _YEAR_MS)]
    past = [1, now - 2 * _HOUR_MS, now - 10 * _YEAR_MS]
    return [*ahead, *past, *(() if ON_SPARK.intersection(services) else _NO_TIMES)]
