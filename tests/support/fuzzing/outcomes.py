"""Where each message of a topic ended: every one has to have exactly one outcome."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Decoder
from deltalake import DeltaTable

from support.kafka import KafkaTopics

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""

_MOST_NAMED: Final = 5


def places(topics: KafkaTopics, *of: Topic) -> set[Place]:
    """All messages of some topics."""
    return {
        (topic, partition, offset)
        for (topic, partition), end in topics.end_offsets(*of).items()
        for offset in range(end)
    }


def check_one_outcome_each(expected: set[Place], outcomes: Iterable[Place]) -> None:
    """Check that each message has one outcome, and that nothing else has any.

    Raises:
        AssertionError: names some that have none, several, or should have none.
    """
    counted = Counter(outcomes)
    none = sorted(expected - counted.keys())
    several = sorted(place for place, number in counted.items() if number > 1)
    unknown = sorted(counted.keys() - expected)
    for what, wrong in (("no outcome", none), ("several outcomes", several), ("no message", unknown)):
        assert not wrong, f"{len(wrong)} with {what}: {wrong[:_MOST_NAMED]}"


def enricher_outcomes(topics: KafkaTopics) -> list[Place]:
    """The messages that are in silver, and those that are in dead letters."""
    silver = [
        (one["raw_topic"], one["raw_partition"], one["raw_offset"]) for one in topics.records(TRANSACTIONS_SILVER)
    ]
    return silver + dead_letter_places(topics, "enricher")


def dead_letter_places(topics: KafkaTopics, service: str) -> list[Place]:
    """The messages that a service has refused, one per dead letter."""
    return [
        (one["source_topic"], one["source_partition"], one["source_offset"])
        for one in topics.records(DEAD_LETTERS)
        if one["service"] == service
    ]


def notifier_outcomes(topics: KafkaTopics, outbox: Path) -> list[Place]:
    """The messages of the alerts topic whose alert is in the outbox, and those that are in dead letters."""
    refused = dead_letter_places(topics, "notifier")
    with sqlite3.connect(outbox) as database:
        known = {alert_id for (alert_id,) in database.execute("SELECT alert_id FROM alerts")}
    decode = Decoder(str(ALERTS.schema), topics.registry, ALERTS.subject(topics.prefix))
    unread = set(refused)
    accepted = []
    for message in topics.messages(ALERTS):
        place = (str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
        if place not in unread and decode(message.value())["alert_id"] in known:
            accepted.append(place)
    return accepted + refused


def table_places(
    tables: Path, table: str, *, topic: str = "", columns: tuple[str, str, str] | None = None
) -> list[Place]:
    """The messages that a table has rows of.

    Args:
        topic: of all rows, where the table has no column with it.
        columns: the names of the columns with topic, partition and offset; ``topic`` counts where the first is empty.
    """
    (of_topic, partition, offset) = columns or ("topic", "partition", "offset")
    wanted = [name for name in (of_topic, partition, offset) if name]
    rows = DeltaTable(str(tables / table.replace(".", "/"))).to_pyarrow_table(columns=wanted).to_pylist()
    return [(row[of_topic] if of_topic else topic, row[partition], row[offset]) for row in rows]
