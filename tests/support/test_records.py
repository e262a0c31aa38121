"""The factories' records have exactly the fields of the schemas."""

from collections.abc import Callable
from typing import Any

import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Encoder

from support import records


@pytest.mark.parametrize(
    ("schema", "factory"),
    [
        ("transaction", records.transaction_record),
        ("enriched_transaction", records.enriched_record),
        ("alert", records.alert_record),
        ("alert_feedback", lambda: records.feedback_record("a", "fraud")),
        ("dead_letter", records.dead_letter_record),
        ("card_profile", records.card_profile_record),
    ],
)
def test_a_record_has_every_field_of_its_schema(schema: str, factory: Callable[[], dict[str, Any]]) -> None:
    assert factory().keys() == {field["name"] for field in parsed_schema(schema)["fields"]}
    assert Encoder(schema, 1)(factory())
    assert factory() == factory()


def test_an_alert_is_about_its_transaction() -> None:
    transaction = records.enriched_record(transaction_id="t-9", amount_minor=7)
    alert = records.alert_record(transaction, rule_id="r", rule_version=2)
    assert alert["alert_id"] == alert_id("r", 2, "t-9")
    assert (alert["transaction_id"], alert["base_amount_minor"]) == ("t-9", 7)
    assert alert["evidence_transaction_ids"] == ["t-9"]


def test_a_json_document_has_a_card_number_and_no_token() -> None:
    document = records.transaction_document(amount_minor=5)
    assert (document["card_number"], document["amount_minor"]) == (records.CARD_NUMBER, 5)
    assert "card_token" not in document
