"""What both databases return, as the outbox's own types."""

from collections.abc import Iterable
from typing import Any

from cardwatch_notifier.alerts import Status
from cardwatch_notifier.notified_state import Notified
from cardwatch_notifier.outbox.protocol import SourcePartition


def positions_of(rows: Iterable[tuple[Any, ...]]) -> dict[SourcePartition, int]:
    """The next offset of each partition, of rows (topic, topic id, partition, next offset)."""
    return {SourcePartition(topic, topic_id, number): offset for topic, topic_id, number, offset in rows}


def notified_of(status: str | None, transitions: int) -> Notified:
    """What receivers have been notified of, of the two columns that record it."""
    return Notified(Status(status) if status else None, transitions)
