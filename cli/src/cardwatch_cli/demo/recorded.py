"""The messages of a run, read back from its topics and decoded without any service of the pipeline.

The oracle's alerts and the numbers of the report are computed from them, so nothing is taken from a service: the
transactions are those that were produced, without those that were made invalid on purpose.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.topics import (
    ALERTS,
    DEAD_LETTERS,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LABELS,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
)
from cardwatch_contracts.wire import Decoder
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_units.timestamps import parse_time

from cardwatch_cli.demo.results import AlertEvent, Label
from cardwatch_cli.demo.topics import count_messages

Transaction = dict[str, Any]

_OPTIONAL: Final = {"device_id": None, "ip_address": None, "latitude": None, "longitude": None}
_DEFAULTS: Final = {"transaction_type": "purchase", "status": "approved", **_OPTIONAL}


@dataclass(frozen=True, slots=True)
class Recorded:
    """All messages of a run.

    Attributes:
        produced: messages on the raw and JSON topics, duplicates and invalid ones included.
        silver: messages on the silver topic.
        transactions: the valid transactions that were produced, each once, as in ``schemas/transaction.avsc``.
        labels: by transaction id.
        alert_events: ``alerts.v1`` in order within each partition.
        refused: number of dead letters by reason, each counted once.
        refused_ids: transaction ids of the dead-lettered messages that can still be decoded.
    """

    produced: int
    silver: int
    transactions: list[Transaction]
    labels: dict[str, Label]
    alert_events: list[AlertEvent]
    refused: Counter[str]
    refused_ids: frozenset[str] = field(default_factory=frozenset)


def read_back(
    reader: RangeReader, registry: Registry, *, topic_prefix: str, token_key: bytes, token_key_id: str
) -> Recorded:
    """Read all topics of a drained pipeline.

    Args:
        token_key: the key with which card numbers in JSON messages are tokenised, as the enricher does.

    Raises:
        CardwatchError: broker or registry do not answer.
    """
    labels = {label.transaction_id: label for label in _labels(reader, registry, topic_prefix)}
    raw_decoder = Decoder("transaction", registry, TRANSACTIONS_RAW.subject(topic_prefix))
    raw_topic, json_topic = TRANSACTIONS_RAW.name(topic_prefix), TRANSACTIONS_JSON.name(topic_prefix)

    # Positions of the messages that the enricher dead-lettered, whether they were labelled as invalid or not; see
    # `refused_ids`.
    refused: dict[str, str] = {}
    refused_at: set[tuple[str, int, int]] = set()
    letter_decoder = Decoder("dead_letter", registry, DEAD_LETTERS.subject(topic_prefix))
    for message in reader.read_all(DEAD_LETTERS.name(topic_prefix)):
        letter = letter_decoder(message.value)
        refused[letter["dead_letter_id"]] = letter["reason"]
        refused_at.add((letter["source_topic"], letter["source_partition"], letter["source_offset"]))

    transactions: dict[str, Transaction] = {}
    refused_ids: set[str] = set()
    produced = 0
    for topic, decode in (
        (raw_topic, raw_decoder),
        (json_topic, lambda value: _from_json(value, token_key, token_key_id)),
    ):
        for message in reader.read_all(topic):
            produced += 1
            try:
                transaction = decode(message.value)
            except (RefusedError, ValueError, KeyError, TypeError):
                continue  # invalid on purpose; otherwise the counts of labels and dead letters will differ
            transaction_id = transaction["transaction_id"]
            if not transaction_id:
                continue  # without an id it cannot be matched with an alert
            if (topic, message.partition, message.offset) in refused_at:
                refused_ids.add(transaction_id)
            label = labels.get(transaction_id)
            if label is None or label.expected_refusal is None:
                transactions.setdefault(transaction_id, transaction)
    return Recorded(
        produced=produced,
        silver=count_messages(reader, TRANSACTIONS_SILVER.name(topic_prefix)),
        transactions=list(transactions.values()),
        labels=labels,
        alert_events=list(_alert_events(reader, registry, topic_prefix)),
        refused=Counter(refused.values()),
        refused_ids=frozenset(refused_ids),
    )


def _labels(reader: RangeReader, registry: Registry, topic_prefix: str) -> Iterator[Label]:
    decoder = Decoder("transaction_label", registry, TRANSACTIONS_LABELS.subject(topic_prefix))
    for message in reader.read_all(TRANSACTIONS_LABELS.name(topic_prefix)):
        label = decoder(message.value)
        yield Label(label["transaction_id"], label["is_fraud"], label["scenario"], label["expected_refusal"])


def _alert_events(reader: RangeReader, registry: Registry, topic_prefix: str) -> Iterator[AlertEvent]:
    decoder = Decoder("alert", registry, ALERTS.subject(topic_prefix))
    for message in reader.read_all(ALERTS.name(topic_prefix)):
        event = decoder(message.value)
        yield AlertEvent(
            event["alert_id"],
            event["status"],
            event["mode"],
            event["rule_id"],
            event["transaction_id"],
            event["raw_broker_time"],
            {measure["name"]: measure["value"] for measure in event["measures"]},
            event.get("suppressed_by"),
        )


def _from_json(value: bytes, token_key: bytes, token_key_id: str) -> Transaction:
    """A legacy producer's JSON transaction with the fields of the Avro schema."""
    message: Transaction = {**_DEFAULTS, **json.loads(value)}
    if "card_number" in message:
        card = tokenise(str(message.pop("card_number")), token_key)
        message |= card._asdict() | {"card_token_key_id": token_key_id}
    if isinstance(message["event_time"], str):
        message["event_time"] = parse_time(message["event_time"])
    return message
