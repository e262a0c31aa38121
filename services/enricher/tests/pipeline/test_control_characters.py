"""No text field of a transaction may contain control characters or marks of direction, in Avro as in JSON."""

from itertools import product
from typing import Any, Final

import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_kafka.dead_letters import DeadLetter
from support.hostile_texts import HARMLESS_TEXTS, HOSTILE_TEXTS, HostileText, control_characters
from support.rows import every_row

TEXT_FIELDS: Final = [
    field["name"] for field in parsed_schema("transaction")["fields"] if field["type"] in ("string", ["null", "string"])
]


def test_the_schema_has_the_text_fields_that_are_tested() -> None:
    assert {"transaction_id", "merchant_id", "device_id", "ip_address", "currency"} <= set(TEXT_FIELDS)


@every_row("form, field, case", product(["avro", "json"], TEXT_FIELDS, HOSTILE_TEXTS))
def test_a_text_field_with_a_control_character_is_refused(
    make: Any, pipeline: Any, form: str, field: str, case: HostileText
) -> None:
    outcome = pipeline(getattr(make, form)(make.transaction(**{field: case.text})))
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == Reason.CONTROL_CHARACTERS
    detail = outcome.record["detail"]
    assert detail.startswith(f"{field}: ")
    assert detail.endswith(f"got {case.code}")
    assert control_characters(detail) == []


@pytest.mark.parametrize("form", ["avro", "json"])
@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_text_of_any_script_is_accepted(make: Any, pipeline: Any, form: str, text: str) -> None:
    outcome = pipeline(getattr(make, form)(make.transaction(merchant_id=text, device_id=text)))
    assert isinstance(outcome, Enriched), outcome
