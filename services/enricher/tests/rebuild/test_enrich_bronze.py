"""Messages of bronze become the same records as in the original run."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_contracts.errors import ConfigurationError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.rebuild.bronze_messages import BronzeMessages
from cardwatch_enricher.rebuild.enrich_bronze import BronzeEnrichment, BronzeMessage, Counts
from cardwatch_enricher.rebuild.staged_table import staged_schema, write_staged
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_units.timestamps import from_microseconds
from deltalake import DeltaTable, write_deltalake

TOPICS = ("transactions.raw.v1", "transactions.json.v1")
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
BRONZE = pa.schema(
    {
        "topic": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "broker_time": pa.timestamp("us", "UTC"),
        "ingested_at": pa.timestamp("us", "UTC"),
        "timestamp_type": pa.string(),
        "key": pa.binary(),
        "value": pa.binary(),
        "headers": HEADERS,
        "redacted": pa.bool_(),
    }
)


def enriched(pipeline: Pipeline, message: ReceivedMessage) -> dict[str, Any]:
    outcome = pipeline(message)
    assert isinstance(outcome, Enriched)
    return {name: value for name, value in outcome.record.items() if name != "enriched_at"}


def in_silver(record: dict[str, Any]) -> dict[str, Any]:
    return record | {name: from_microseconds(record[name]) for name in ("event_time", "raw_broker_time")}


def masked(message: ReceivedMessage, card_number: str) -> ReceivedMessage:
    value = (message.value or b"").replace(card_number.encode(), b"*" * len(card_number))
    return message._replace(value=value)


def put(
    tables: Path, pipeline: Pipeline, messages: list[tuple[ReceivedMessage, bool]], accepted: list[ReceivedMessage]
) -> None:
    """Write messages to bronze, some of them redacted, and the original records of some to silver."""
    rows = [
        {
            **{name: getattr(message, name) for name in ("topic", "partition", "offset", "key", "value")},
            "headers": [{"key": key, "value": value} for key, value in message.headers],
            "broker_time": from_microseconds(message.broker_time or 0),
            "ingested_at": from_microseconds((message.broker_time or 0) + 5_000_000),
            "timestamp_type": "LogAppendTime",
            "redacted": redacted,
        }
        for message, redacted in messages
    ]
    write_deltalake(tables / "bronze/transactions", pa.Table.from_pylist(rows, BRONZE))
    records = [in_silver(enriched(pipeline, message)) for message in accepted]
    write_deltalake(tables / "silver/transactions", pa.Table.from_pylist(records, staged_schema()))


def test_valid_messages_are_enriched_and_the_others_counted(make: Any, pipeline: Pipeline, tmp_path: Path) -> None:
    avro = make.avro(make.transaction(transaction_id="avro"), headers=(("traceparent", b"00"), ("none", None)))
    legacy = make.json(make.document(transaction_id="json"), offset=7)
    bad = make.avro(make.transaction(amount_minor=-1), offset=43)
    put(
        tmp_path,
        pipeline,
        [
            (avro, False),
            (masked(legacy, make.card_number), True),
            (masked(make.json(make.document(transaction_id="refused"), offset=8), make.card_number), True),
            (make.json(make.transaction(transaction_id="key-only"), offset=9), True),
            (bad, False),
        ],
        [avro, legacy],
    )
    bronze = BronzeMessages(str(tmp_path), TOPICS)
    told: list[int] = []
    work = BronzeEnrichment(pipeline, bronze.silver_records, lambda counts: told.append(counts.messages))
    write_staged(str(tmp_path / "staged"), work.enrich(bronze.batches()))

    assert work.counts == Counts(5, enriched=3, restored=1, masked=1, refused={Reason.INVALID_AMOUNT.value: 1})
    assert told[-1] == 5
    assert json.loads(work.counts.as_json())["refused"] == {Reason.INVALID_AMOUNT.value: 1}
    rows = {row["transaction_id"]: row for row in DeltaTable(tmp_path / "staged").to_pyarrow_table().to_pylist()}
    assert rows.keys() == {"avro", "json", "key-only"}
    for message, name in ((avro, "avro"), (legacy, "json")):
        assert rows[name] == in_silver(enriched(pipeline, message))
    assert rows["json"]["card_last_four"] == make.card_number[-4:]


def test_a_time_that_no_calendar_has_costs_nothing(make: Any, pipeline: Pipeline, tmp_path: Path) -> None:
    put(tmp_path, pipeline, [(make.avro(make.transaction(), offset=offset), False) for offset in (1, 2)], [])
    place = tmp_path / "bronze/transactions"
    rows = DeltaTable(place).to_pyarrow_table()
    times = pa.array([2**62, make.received_at]).cast(pa.timestamp("us", "UTC"))
    late = rows.set_column(rows.schema.get_field_index("broker_time"), "broker_time", times)
    write_deltalake(place, late, mode="overwrite")
    bronze = BronzeMessages(str(tmp_path), TOPICS)
    work = BronzeEnrichment(pipeline, bronze.silver_records, lambda counts: None)
    write_staged(str(tmp_path / "staged"), work.enrich(bronze.batches()))
    assert work.counts.enriched == 2


def test_a_producers_time_counts_no_further_than_when_bronze_had_the_message(
    make: Any, pipeline: Pipeline, tmp_path: Path
) -> None:
    hour_us = 3_600_000_000
    ahead = make.received_at + 2 * hour_us
    messages = [make.avro(make.transaction(event_time=ahead), offset=offset, broker_time=ahead) for offset in (1, 2)]
    put(tmp_path, pipeline, [(message, False) for message in messages], [])
    place = tmp_path / "bronze/transactions"
    rows = DeltaTable(place).to_pyarrow_table()
    ingested = pa.array([make.received_at] * 2).cast(pa.timestamp("us", "UTC"))
    rows = rows.set_column(rows.schema.get_field_index("ingested_at"), "ingested_at", ingested)
    types = pa.array(["CreateTime", "LogAppendTime"])
    rows = rows.set_column(rows.schema.get_field_index("timestamp_type"), "timestamp_type", types)
    write_deltalake(place, rows, mode="overwrite")
    bronze = BronzeMessages(str(tmp_path), TOPICS)
    work = BronzeEnrichment(pipeline, bronze.silver_records, lambda counts: None)
    write_staged(str(tmp_path / "staged"), work.enrich(bronze.batches()))
    assert (work.counts.enriched, work.counts.refused) == (1, {Reason.EVENT_TIME_IN_FUTURE.value: 1})


def test_without_silver_masked_messages_are_counted_as_lost(make: Any, pipeline: Pipeline, tmp_path: Path) -> None:
    put(tmp_path, pipeline, [(masked(make.json(make.document()), make.card_number), True)], [])
    (tmp_path / "silver/transactions").rename(tmp_path / "gone")
    bronze = BronzeMessages(str(tmp_path), TOPICS)
    work = BronzeEnrichment(pipeline, bronze.silver_records, lambda counts: None)
    assert list(work.enrich(bronze.batches())) == [[]]
    assert (work.counts.masked, work.counts.enriched) == (1, 0)


def test_messages_of_another_prefix_are_an_error(make: Any, pipeline: Pipeline, tmp_path: Path) -> None:
    put(tmp_path, pipeline, [(make.avro(make.transaction(), topic="other.transactions.raw.v1"), False)], [])
    bronze = BronzeMessages(str(tmp_path), TOPICS)
    with pytest.raises(ConfigurationError, match=r"other\.transactions\.raw\.v1.*CARDWATCH_TOPIC_PREFIX"):
        write_staged(str(tmp_path / "staged"), ([] for _ in bronze.batches()))


def test_a_registry_that_does_not_answer_refuses_nothing(
    make: Any, registry: Any, fresh_pipeline: Pipeline, tmp_path: Path
) -> None:
    registry.failures.append(RegistryUnavailableError("it does not answer"))
    work = BronzeEnrichment(fresh_pipeline, lambda places: {}, lambda counts: None)
    message = BronzeMessage(make.avro(make.transaction()), masked=False)
    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        write_staged(str(tmp_path / "staged"), work.enrich([[message]]))
    assert not work.counts.refused


def test_an_existing_table_is_not_overwritten(tmp_path: Path) -> None:
    write_staged(str(tmp_path / "staged"), [])
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_staged(str(tmp_path / "staged"), [])
