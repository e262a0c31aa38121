"""Messages of a later version of ``transaction.avsc``: its fields are skipped, and searched for card numbers."""

import io
import json
from typing import Any

import fastavro
import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import schema_text
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_kafka.dead_letters import DeadLetter

PAN = 4111111111111111
LATER_ID = 70
LATER: dict[str, Any] = json.loads(schema_text("transaction"))
LATER["fields"] += [
    {"name": "note", "type": "string"},
    {"name": "counts", "type": {"type": "array", "items": "long"}},
    {"name": "number", "type": ["null", "long"]},
]
_FRAME = b"\x00" + LATER_ID.to_bytes(4, "big")
_COUNTS = b"\x02\x06\x00"  # [3]


def as_varint(number: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)
    return out.getvalue()


def later_message(make: Any, number: int | None) -> bytes:
    out = io.BytesIO()
    record = make.transaction(note="note", counts=[3], number=number)
    fastavro.schemaless_writer(out, fastavro.parse_schema(LATER), record)
    return _FRAME + out.getvalue()


def test_a_field_that_is_not_known_is_skipped_unless_it_holds_a_card_number(
    make: Any, registry: Any, fresh_pipeline: Any
) -> None:
    registry.texts[LATER_ID] = json.dumps(LATER)
    assert isinstance(fresh_pipeline(make.avro(value=later_message(make, 5))), Enriched)
    refused = fresh_pipeline(make.avro(value=later_message(make, PAN)))
    assert refused.reason == Reason.CARD_NUMBER_PRESENT
    assert as_varint(PAN) not in refused.record["value"]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b"\x08note", b"\x08not\xff"),  # no UTF-8
        (_COUNTS, b"\x01\x04\x06\x00\x00"),  # a block of one item and two bytes, which has one
        (_COUNTS, b"\x05\x02\x06\x00"),  # a block of three items that has one
        (_COUNTS, b"\x02\x86" + b"\x80" * 10 + b"\x00\x00"),  # a number in twelve bytes
    ],
)
def test_what_only_the_decoder_takes_is_refused(
    make: Any, registry: Any, fresh_pipeline: Any, written: bytes, instead: bytes
) -> None:
    registry.texts[LATER_ID] = json.dumps(LATER)
    value = later_message(make, PAN)
    outcome = fresh_pipeline(make.avro(value=value.replace(written, instead)))
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == Reason.UNDECODABLE_AVRO


def test_a_number_before_the_place_where_a_record_breaks_off_is_masked(make: Any, pipeline: Any) -> None:
    value = make.encode(make.transaction(amount_minor=PAN)) + b"\x00"
    letter = pipeline(make.avro(value=value))
    assert letter.reason == Reason.UNDECODABLE_AVRO
    assert len(letter.record["value"]) == len(value)
    assert as_varint(PAN) not in letter.record["value"]
    assert letter.record["redacted"]
