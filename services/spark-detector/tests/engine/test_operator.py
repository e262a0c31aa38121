"""The rule engine as an operator of a real Spark: what only Spark can show. Which alerts are right, JUnit tests."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts import late_headers
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.wire import Decoder
from cardwatch_detector.runtime.session_settings import temporary_settings
from cardwatch_detector.velocity.operator import EVENT_TIME, Operator, Output, fields_to_read
from cardwatch_detector.velocity.rules.rule_set import RuleSet, packed
from cardwatch_rules.fields import RULE_FIELDS
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.program.document import program_json
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from support.records import enriched_record
from support.registry import InMemoryRegistry


def type_of(field: str) -> str:
    """The type of a field in Spark; of those that rules cannot name, text."""
    name = str(RULE_FIELDS.get(field, "string"))
    return {"int64": "bigint", "int32": "int"}.get(name, name)


SECOND = 1_000_000
HOUR = 3600 * SECOND
NOON = 1_795_478_400_000_000 + 12 * HOUR
SCHEMA_ID = 11
RULES = RuleSet(
    parse_rules("""
- {id: three, title: Three in a minute, scope: card, when: n >= 3, measures: {n: {window: 1m, is: count(*)}}}
- {id: trusted, title: Not a trusted shop, scope: merchant, when: not merchant_id in list('trusted')}
"""),
    {"trusted": frozenset({"m"})},
)
OPERATOR = Operator(
    horizons_us={"card": HOUR, "merchant": HOUR},
    lateness_us=60 * SECOND,
    ahead_us=60 * SECOND,
    profiled=False,
    output=Output(
        alerts="alerts", late="late", alert_schema_id=SCHEMA_ID, evidence_limit=2, detector="here", query="velocity"
    ),
    trace_share=1.0,
)
FIELDS = ",".join(
    f"{name}:{'timestamp' if name == 'raw_broker_time' else type_of(name)}"
    for name in fields_to_read()
    if name != EVENT_TIME
)
HEADERS = "headers array<struct<key: string, value: binary>>"
MESSAGE = f"partition int, offset bigint, value binary, message_key string, {HEADERS}"
RECORD = f"event_time timestamp, {MESSAGE}, transaction struct<{FIELDS}>"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STATE_STORE = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
}
decode = Decoder("alert", InMemoryRegistry({"alert": SCHEMA_ID}))


class Stream:
    """A stream of micro-batches, each a file, and all rows that the operator has returned."""

    def __init__(self, session: SparkSession, directory: Path) -> None:
        self.rows: list[Row] = []
        self.rules = RULES
        self.program = ""
        self.query: StreamingQuery | None = None
        self._session, self._directory, self._files, self._offset = session, directory, 0, 0
        (directory / "in").mkdir()

    def start(self) -> None:
        records = self._session.readStream.schema(RECORD)
        frame = OPERATOR.results(records.option("maxFilesPerTrigger", 1).json(str(self._directory / "in")))
        self.query = (
            frame.writeStream.outputMode("update")
            .option("checkpointLocation", str(self._directory / "checkpoint"))
            .foreachBatch(self._take)
            .start()
        )

    def stop(self) -> None:
        if self.query is not None:
            self.query.stop()

    def send(self, *transactions: dict[str, Any]) -> list[Row]:
        """Process transactions as one micro-batch; returns its rows."""
        assert self.query is not None
        before = len(self.rows)
        lines = [self._record(enriched_record(**changes)) for changes in transactions]
        self._files += 1
        made = self._directory / "in" / f".{self._files}"
        made.write_text("\n".join(lines))
        made.rename(self._directory / "in" / f"{self._files}.json")
        self.query.processAllAvailable()
        return self.rows[before:]

    def state_keys(self) -> set[str]:
        """The keys that have state."""
        state = self._session.read.format("statestore").option("stateVarName", "head")
        rows = state.load(str(self._directory / "checkpoint")).select("key").collect()
        return {row.key._1 for row in rows}

    def _record(self, transaction: dict[str, Any]) -> str:
        self._offset += 1
        headers = transaction.pop("headers", {})
        fields = {name: transaction[name] for name in fields_to_read() if name != EVENT_TIME}
        return json.dumps(
            {
                "event_time": as_text(transaction[EVENT_TIME]),
                "partition": 0,
                "offset": self._offset,
                "value": as_base64(f"message {self._offset}"),
                "message_key": "original-token",
                "headers": [{"key": name, "value": as_base64(text)} for name, text in headers.items()],
                "transaction": {**fields, "raw_broker_time": as_text(fields["raw_broker_time"])},
            }
        )

    def _take(self, batch: DataFrame, _: int) -> None:
        context = batch.sparkSession.sparkContext
        context.setLocalProperty("cardwatch.program", self.program or self.rules.packed_program)
        context.setLocalProperty("cardwatch.lists", self.rules.packed_lists)
        self.rows += batch.collect()


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def as_text(us: int) -> str:
    return datetime.fromtimestamp(us / SECOND, UTC).isoformat()


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> Iterator[Stream]:
    with temporary_settings(spark, STATE_STORE):
        made = Stream(spark, tmp_path)
        made.start()
        yield made
        made.stop()


def payment(number: int, seconds: float, **changes: Any) -> dict[str, Any]:
    at = NOON + round(seconds * SECOND)
    return {
        "transaction_id": f"t{number}",
        "event_time": at,
        "raw_broker_time": at + 1,
        "card_token": "a",
        "merchant_id": "m",
        **changes,
    }


def alerts(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [
        (row.rule_id, decode(bytes(row.value))["transaction_id"], row.status) for row in rows if row.topic == "alerts"
    ]


def reports(rows: list[Row]) -> list[dict[str, Any]]:
    return [json.loads(row.report) for row in rows if row.report]


def test_alerts_are_framed_records_with_ids_that_python_computes_too(stream: Stream) -> None:
    rows = stream.send(*(payment(number, number) for number in range(4)))
    assert alerts(rows) == [("three", "t2", "raised"), ("three", "t3", "raised")]
    row = rows[-1]
    record = decode(bytes(row.value))
    assert record["alert_id"] == alert_id("three", 1, "t3")
    assert (record["key"], record["scope"], record["card_last_four"]) == (
        "a",
        "card",
        enriched_record()["card_last_four"],
    )
    assert record["measures"] == [
        {"name": "n", "expression": "count(*)", "window_us": 60 * SECOND, "value": 4, "text": None}
    ]
    assert record["evidence_transaction_ids"] == ["t2", "t3"], "the newest ones"
    assert (record["evidence_count"], record["window_start"]) == (4, NOON - 57 * SECOND)
    assert (record["raw_broker_time"], record["suppressed_by"]) == (NOON + 3 * SECOND + 1, None)
    assert (row.key, row.mode, row.event_time) == ("a", "live", NOON + 3 * SECOND)
    assert (row.raw_broker_time, row.headers) == (record["raw_broker_time"], None)


def test_state_and_rules_outlive_a_restart(stream: Stream) -> None:
    assert alerts(stream.send(payment(0, 0), payment(1, 1))) == []
    stream.stop()
    stream.start()
    assert alerts(stream.send(payment(2, 2, merchant_id="elsewhere"))) == [
        ("three", "t2", "raised"), ("trusted", "t2", "raised"),
    ]  # fmt: skip
    stream.rules = RuleSet(RULES.rules[:1])
    assert alerts(stream.send(payment(1, -1))) == [], "an arrival of a known id, which is evaluated by another rule set"


def test_what_is_older_than_the_watermark_is_returned_and_not_stored(stream: Stream) -> None:
    stream.send(payment(0, 300), payment(1, 301))
    late, in_time = payment(2, 240.9), payment(3, 241)
    (row,) = (row for row in stream.send(late, in_time) if row.topic == "late")
    assert (row.key, bytes(row.value), row.event_time) == ("original-token", b"message 3", late["event_time"])
    assert (row.late_scopes, row.late_by) == ("card,merchant", SECOND // 10), "once, whatever the number of its scopes"
    assert {header.key: bytes(header.value).decode() for header in row.headers} == {
        late_headers.DETECTOR: "here",
        late_headers.QUERY: "velocity",
        late_headers.SCOPES: "card,merchant",
        late_headers.WATERMARK_US: str(NOON + 241 * SECOND),
        late_headers.SILVER_PARTITION: "0",
        late_headers.SILVER_OFFSET: "3",
    }
    assert alerts(stream.send(payment(4, 299.9))) == [("three", "t0", "raised"), ("three", "t1", "raised")], (
        "t3, t4 and t0 are three, with t2 t4 would have been one too"
    )


def test_an_alert_continues_the_trace_of_its_transactions_message(stream: Stream) -> None:
    context = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
    unsampled = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}
    (row, other) = stream.send(
        payment(0, 0), payment(1, 1), payment(2, 2, headers=context), payment(3, 3, headers=unsampled)
    )
    headers = {header.key: bytes(header.value).decode() for header in row.headers}
    span = json.loads(row.span)
    assert headers == {"traceparent": f"00-{TRACE}-{span.pop('span_id')}-01", "tracestate": "vendor=1"}
    record = decode(bytes(row.value))
    assert span == {
        "parent": context["traceparent"],
        "state": "vendor=1",
        "partition": 0,
        "offset": 3,
        "alert_id": record["alert_id"],
        "rule_id": "three",
        "status": "raised",
        "detected_at": record["detected_at"],
    }
    assert (other.headers, other.span) == (None, None)


def test_a_key_that_never_comes_back_leaves_no_state(stream: Stream) -> None:
    stream.send(payment(0, 0))
    stream.send(payment(1, 10), payment(2, 30, card_token="b", merchant_id="n"))
    # A micro-batch moves the watermark for the one after it.
    for hours in (1, 2, 2.5):
        stream.send(payment(int(10 * hours), hours * 3600, card_token="z", merchant_id="z"))
    stream.stop()
    assert stream.state_keys() == {"z"}, "a, b, m and n have been evicted by their timers"


def test_a_rule_that_the_engine_does_not_know_is_reported_and_the_others_go_on(stream: Stream) -> None:
    unknown = program_json(RULES.rules).replace('"aggregate":"count"', '"aggregate":"later"')
    stream.program = packed(unknown)
    rows = stream.send(*(payment(number, number, merchant_id="x") for number in range(3)))
    assert {rule for rule, _, _ in alerts(rows)} == {"trusted"}
    assert {rule for report in reports(rows) for rule in report["failed"]} == {"three"}


def test_what_rules_took_is_reported_with_the_next_micro_batch(stream: Stream) -> None:
    many = [payment(number, number / 100) for number in range(3000)]
    assert not reports(stream.send(*many))
    found = reports(stream.send(payment(5000, 31)))
    assert {rule for report in found for rule in report["seconds"]} == {"three", "trusted"}
    assert sum(report["rows"] for report in found) == 6000, "in two scopes"
