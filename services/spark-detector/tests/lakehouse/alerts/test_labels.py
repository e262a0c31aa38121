"""Labels, alerts and dead letters in any order, written twice, without a broker."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.wire import Encoder
from cardwatch_detector.lakehouse.alerts.alerts import AlertAndFeedbackWriter, AlertWriter
from cardwatch_detector.lakehouse.alerts.label_counts import LabelCounter
from cardwatch_detector.lakehouse.alerts.labels import FeedbackWriter
from cardwatch_detector.lakehouse.bronze.dead_letters import DeadLetterTableWriter
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.io.decode import TopicSchemas
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_QUARANTINE,
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
)
from cardwatch_service.metrics import Metrics
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from support.records import alert_record, dead_letter_record, enriched_record, feedback_record
from support.registry import InMemoryRegistry

COLUMNS = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, "
    "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)
NAMES = ("alert", "alert_feedback", "dead_letter")
CARD_NUMBER = b"4111111111111111"  # published test number


REGISTRY = InMemoryRegistry({name: number for number, name in enumerate(NAMES)})

pytestmark = pytest.mark.faults


class Lake:
    """Tables, and what writes them."""

    def __init__(self, spark: SparkSession, directory: Path) -> None:
        self._spark, self._dir = spark, str(directory)
        self.offset = 0
        self.now = datetime(1970, 1, 15, tzinfo=UTC)
        self.label_counts: list[dict[tuple[str, str], int]] = []
        create_tables(spark, self._dir, [GOLD_ALERTS, GOLD_ALERT_LABELS, BRONZE_ALERT_EVENTS, BRONZE_QUARANTINE])

        def arguments(schema: str, identity: str) -> tuple[Any, ...]:
            return self._dir, TopicSchemas(schema, identity, REGISTRY), LakehouseMetrics(Metrics())  # type: ignore[arg-type]

        self._alerts = AlertAndFeedbackWriter(
            "feedback",
            AlertWriter(*arguments("alert", "alert_id")),
            FeedbackWriter(*arguments("alert_feedback", "alert_id")),
            LabelCounter(self._dir, self._count, lambda: self.now),
        )
        self._letters = DeadLetterTableWriter(*arguments("dead_letter", "dead_letter_id"))

    def _count(self, counts: Mapping[tuple[str, str], int]) -> None:
        self.label_counts.append(dict(counts))

    def write(self, batch_id: int, *messages: tuple[str, dict[str, Any]], times: int = 1) -> None:
        rows = []
        for schema, record in messages:
            self.offset += 1
            topic = {"alert_feedback": "feedback"}.get(schema, schema)
            value = bytearray(Encoder(schema, NAMES.index(schema))(record))
            at = datetime.fromtimestamp(1_800_000_000 + self.offset, UTC)
            rows.append((bytearray(b"k"), value, topic, 0, self.offset, at, None))
        batch = self._spark.createDataFrame(rows, COLUMNS)
        write = self._letters if messages[0][0] == "dead_letter" else self._alerts
        for _ in range(times):
            write(batch, batch_id)

    def rows(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = DeltaTable(f"{self._dir}/{path}").to_pyarrow_table().to_pylist()
        return found

    def labels(self) -> dict[str, str | None]:
        return {row["alert_id"]: row["label"] for row in self.rows("gold/alerts")}


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    # As within a streaming query.
    spark.sparkContext.setLocalProperty("sql.streaming.queryId", "of-the-test")
    return Lake(spark, tmp_path / "tables")


def alert(alert_id: str, status: str = "raised", cause: int = 1) -> tuple[str, dict[str, Any]]:
    about = enriched_record(event_time=1, raw_broker_time=cause)
    return "alert", alert_record(about, alert_id=alert_id, rule_id="x", status=status, detected_at=1)


def label(alert_id: str, text: str, at: int, note: str = "") -> tuple[str, dict[str, Any]]:
    return "alert_feedback", feedback_record(alert_id, text, note=note, labelled_at=at)


def letter(offset: int, service: str, refused_at: int, value: bytes) -> tuple[str, dict[str, Any]]:
    refused = {"source_offset": offset, "service": service, "value": value, "refused_at": refused_at}
    return "dead_letter", dead_letter_record(**refused, reason="wrong_type", detail="wrong", source_time=None, key=None)


def test_the_last_label_holds_whichever_comes_first_and_is_counted(lake: Lake) -> None:
    # Before its alert, with it, and after it; an earlier one after a later one; the same time twice.
    lake.write(0, label("a", "fraud", 20), label("a", "unclear", 10), label("b", "unclear", 5), times=2)
    assert lake.labels() == {}
    lake.write(1, alert("a"), alert("b"), alert("c"), label("b", "fraud", 5), label("c", "legitimate", 1), times=2)
    assert lake.labels() == {"a": "fraud", "b": "fraud", "c": "legitimate"}
    lake.write(
        2,
        label("a", "legitimate", 19),
        label("c", "perhaps", 9),
        label("c", "unclear", 8, f"not {CARD_NUMBER.decode()}"),
        alert("b", "retracted", 2),
        times=2,
    )
    assert lake.labels() == {"a": "fraud", "b": "fraud", "c": "unclear"}
    rows = {row["alert_id"]: row for row in lake.rows("gold/alerts")}
    assert (rows["b"]["status"], rows["c"]["label_note"]) == ("retracted", f"not {'*' * 16}")
    assert [(row["reason"], row["service"]) for row in lake.rows("bronze/quarantine")] == [
        ("unknown_label", "lakehouse")
    ]
    # A killed detector publishes its events again: that adds no event and loses no label.
    lake.write(3, alert("a"), alert("b", "retracted", 2))
    assert lake.labels() == {"a": "fraud", "b": "fraud", "c": "unclear"}
    events = [(row["alert_id"], row["status"]) for row in lake.rows("bronze/alert_events")]
    assert sorted(events) == [("a", "raised"), ("b", "raised"), ("b", "retracted"), ("c", "raised")]

    # Labels are counted by rule whenever the counts may have changed.
    first, second = {("x", "fraud"): 2, ("x", "legitimate"): 1}, {("x", "fraud"): 2, ("x", "unclear"): 1}
    assert lake.label_counts == [{}, {}, first, first, second, second]
    # Labels of more than 30 days ago do not count: they say little about the current rule.
    lake.now += timedelta(days=20)
    lake.write(4, label("a", "legitimate", 20 * 86_400_000_000))
    assert lake.label_counts[6:] == [{("x", "legitimate"): 1}]


def test_labels_are_counted_after_the_first_micro_batch_even_without_labels(lake: Lake) -> None:
    # Another process may have written labels before.
    lake.write(0, alert("a"))
    assert lake.label_counts == [{}]
    lake.write(1, alert("b"))
    assert lake.label_counts == [{}], "without labels nothing can have changed"


def test_many_alerts_at_once(lake: Lake) -> None:
    # More alerts than a condition lists one by one.
    many = [alert(f"a{number}") for number in range(130)]
    lake.write(0, label("a5", "fraud", 20), *many[:120])
    lake.write(1, *many, alert("a7", "retracted", 2))
    rows = {row["alert_id"]: row for row in lake.rows("gold/alerts")}
    assert len(rows) == len(lake.rows("gold/alerts")) == 130
    assert {name for name, row in rows.items() if row["status"] == "retracted"} == {"a7"}
    assert {name: row["label"] for name, row in rows.items() if row["label"]} == {"a5": "fraud"}
    assert len(lake.rows("bronze/alert_events")) == 131


def test_a_dead_letter_is_kept_once(lake: Lake) -> None:
    lake.write(0, letter(1, "enricher", 5, b"one"), letter(1, "enricher", 6, b"again"), times=2)
    held = b'{"n": "' + CARD_NUMBER + b'"}'
    lake.write(
        1, letter(1, "enricher", 7, b"again"), letter(1, "notifier", 8, b"\x00x"), letter(2, "enricher", 9, held)
    )
    rows = {(row["service"], row["offset"]): row for row in lake.rows("bronze/quarantine")}
    assert len(rows) == len(lake.rows("bronze/quarantine")) == 3
    values = {where: (row["value"], row["redacted"]) for where, row in rows.items()}
    assert values == {
        ("enricher", 1): (b"one", False),
        ("notifier", 1): (b"\x00x", False),
        ("enricher", 2): (b'{"n": "' + b"*" * 16 + b'"}', True),
    }
    assert {(row["topic"], row["broker_time"], row["dead_letter_topic"]) for row in rows.values()} == {
        ("raw", None, "dead_letter")
    }
