"""Names and identities that others rely on: a change here is a change of the contract."""

import re
from uuid import uuid5

from cardwatch_contracts.identity import NAMESPACE, alert_id, alert_ids, dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import SCHEMA_NAMES
from cardwatch_contracts.topics import ALL_TOPICS, TRANSACTIONS_RAW


def test_topic_names() -> None:
    assert [topic.name() for topic in ALL_TOPICS] == [
        "transactions.raw.v1",
        "transactions.json.v1",
        "transactions.silver.v1",
        "transactions.labels.v1",
        "transactions.dlq.v1",
        "alerts.v1",
        "rules.v1",
        "lists.v1",
        "rules.status.v1",
        "cards.profile.v1",
        "transactions.late.v1",
        "alerts.feedback.v1",
        "rules.approvals.v1",
    ]
    assert TRANSACTIONS_RAW.name("test.") == "test.transactions.raw.v1"
    assert TRANSACTIONS_RAW.subject("test.") == "test.transactions.raw.v1-value"


def test_every_schema_has_a_topic() -> None:
    assert {topic.schema for topic in ALL_TOPICS if topic.schema} == set(SCHEMA_NAMES)


def test_identities_are_functions_of_what_they_identify() -> None:
    assert alert_id("r", 2, "t") == str(uuid5(NAMESPACE, "r|2|t"))
    assert alert_id("r", 1, "t") != alert_id("r", 2, "t")
    transactions = [f"transaction {at} ü" for at in range(200)]
    assert alert_ids("r-1", 12, transactions) == [alert_id("r-1", 12, transaction) for transaction in transactions]
    assert dead_letter_id("raw", 0, 5) == str(uuid5(NAMESPACE, "raw|0|5"))


def test_reason_codes_are_words_for_labels() -> None:
    assert all(re.fullmatch(r"[a-z_]+", reason.value) for reason in Reason)
