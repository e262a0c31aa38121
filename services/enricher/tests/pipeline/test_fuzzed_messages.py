"""Fuzzed messages have one outcome each: silver, or a dead letter with a reason that is no defect of the enricher."""

import time
from typing import Any, Final

import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_RAW, Topic
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_enricher.stream.batch_processor import BatchProcessor, Target, Targets
from cardwatch_kafka.messages import ReceivedMessage
from support.fuzzing.kinds import fuzzed_messages, kinds
from support.records import CARD_NUMBER
from support.registry import InMemoryRegistry

MESSAGES: Final = 1000
SEED: Final = 20
IDS: Final = {"transaction": 7, "enriched_transaction": 21, "dead_letter": 22}
MAX_SECONDS: Final = 15.0
REGISTRY: Final = InMemoryRegistry(IDS)
DECODE: Final = {"silver": Decoder("enriched_transaction", REGISTRY), "dlq": Decoder("dead_letter", REGISTRY)}
TARGETS: Final = Targets(
    Target("silver", Encoder("enriched_transaction", IDS["enriched_transaction"])),
    Target("dlq", Encoder("dead_letter", IDS["dead_letter"])),
)


def encode(topic: Topic, record: Record) -> bytes:
    schema = str(topic.schema)
    return Encoder(schema, IDS.get(schema, 1))(record)


@pytest.mark.parametrize("topic", [TRANSACTIONS_JSON, TRANSACTIONS_RAW], ids=lambda topic: topic.base_name)
def test_each_message_has_one_outcome(make: Any, pipeline: Any, metrics: Any, topic: Topic) -> None:
    (kind,) = [kind for kind in kinds(encode).values() if kind.topic == topic]
    found: set[str] = set()
    for offset, one in enumerate(fuzzed_messages(kind, SEED, MESSAGES)):
        publisher = make.publisher()
        message = ReceivedMessage(
            topic.base_name, 1, offset, one.key, one.value, one.headers, broker_time=time.time_ns() // 1000
        )
        began = time.process_time()
        BatchProcessor(pipeline, publisher, TARGETS, metrics, stop=make.stop())([message])
        assert time.process_time() - began < MAX_SECONDS
        (outgoing,) = publisher.published
        record = DECODE[outgoing.topic](outgoing.value)
        found.add(record.get("reason", "silver"))
        assert record.get("reason") != Reason.INTERNAL_ERROR, (record["detail"], one)
        # Not in the bytes of Avro records: a length and a text together may look like a card number.
        parts = [part.encode() if isinstance(part, str) else part for part in record.values()]
        if topic == TRANSACTIONS_JSON:
            assert not any(CARD_NUMBER.encode() in part for part in parts if isinstance(part, bytes)), one
    assert "silver" in found
    assert len(found) > 5
