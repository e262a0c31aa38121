"""Offsets of Kafka topics as Spark reports them."""

import json
from collections.abc import Mapping
from typing import Any

Offsets = dict[str, dict[str, int]]
"""Topic -> partition number as text -> offset of the next message."""


def parse_offsets(value: Any) -> Offsets:
    """Kafka offsets as Spark writes them, JSON text or parsed.

    Empty for another source's offsets: a table has no partitions to count by.
    """
    parsed = json.loads(value) if isinstance(value, str) else value
    if not isinstance(parsed, dict) or not all(isinstance(partitions, dict) for partitions in parsed.values()):
        return {}
    return parsed


def partition_offsets(offsets: Mapping[str, Mapping[str, int]], topic: str) -> dict[int, int]:
    """A topic's offsets by partition number."""
    return {int(partition): offset for partition, offset in offsets.get(topic, {}).items()}
