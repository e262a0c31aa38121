"""The lakehouse on real broker, registry, Spark and Delta: every table equals its topic, whatever is killed when."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.setup import apply_all
from cardwatch_contracts.topics import (
    ALERTS,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_contracts.wire import HEADER, Encoder
from cardwatch_service.metrics import CONSUMER_POSITION
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from deltalake import DeltaTable
from prometheus_client.parser import text_string_to_metric_families
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

pytestmark = pytest.mark.integration

TOPICS = (TRANSACTIONS_RAW, TRANSACTIONS_JSON, TRANSACTIONS_SILVER, TRANSACTIONS_LATE, ALERTS)
CARD_NUMBER = "4111111111111111"  # published test number
NOW_US = 1_795_478_400_000_000
DAY_US = 86_400_000_000
MARGIN_SECONDS = 240.0  # the machine may be busy with other tests


@dataclass
class Line:
    """A deployment of its own on the shared platform: its topics, and one lakehouse process."""

    platform: Any
    prefix: str
    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        apply_all(self.platform.bootstrap_servers, self.platform.registry_url, self.prefix)
        registry = ConfluentRegistry(self.platform.registry_url)
        self.producer = Producer({"bootstrap.servers": self.platform.bootstrap_servers, "linger.ms": 5})
        self.schema_ids = {
            str(topic.schema): registry.id_of(topic.subject(self.prefix), str(topic.schema))
            for topic in (TRANSACTIONS_SILVER, ALERTS)
        }
        self.encode_silver = Encoder("enriched_transaction", self.schema_ids["enriched_transaction"])
        self.encode_alert = Encoder("alert", self.schema_ids["alert"])

    def send(self, topic: Topic, value: bytes | None, key: str = "k", **more: Any) -> None:
        self.producer.produce(topic.name(self.prefix), value, key.encode(), **more)

    def start(self) -> None:
        environment = {
            **os.environ,
            **self.platform.environment(),
            "CARDWATCH_TOPIC_PREFIX": self.prefix,
            "CARDWATCH_METRICS_PORT": str(self.port),
            "CARDWATCH_LAKEHOUSE_TRIGGER": "1s",
            "CARDWATCH_LAKEHOUSE_MAX_OFFSETS_PER_TRIGGER": "150",  # several micro-batches, so that kills hit some
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(self.directory / "tables"),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(self.directory / "checkpoints"),
        }
        command = [str(Path(sys.executable).with_name("cardwatch-detector")), "lakehouse"]
        with (self.directory / "lakehouse.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL for the driver and its JVM at once, as when a machine loses power."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def positions(self) -> dict[tuple[str, int], int]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == CONSUMER_POSITION
        }

    # A topic that was just made may have no leader yet.
    @retry(retry=retry_if_exception_type(KafkaException), wait=wait_fixed(0.5), stop=stop_after_delay(60), reraise=True)
    def ends(self) -> dict[tuple[str, int], int]:
        consumer = Consumer({"bootstrap.servers": self.platform.bootstrap_servers, "group.id": "ends"})
        try:
            return {
                (name, partition): consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)[1]
                for name, partitions in ((topic.name(self.prefix), topic.partitions) for topic in TOPICS)
                for partition in range(partitions)
            }
        finally:
            consumer.close()

    def messages(self, topic: Topic) -> list[Any]:
        """Every message of a topic, read independently of Spark."""
        name = topic.name(self.prefix)
        consumer = Consumer({"bootstrap.servers": self.platform.bootstrap_servers, "group.id": "all"})
        found: list[Any] = []
        try:
            consumer.assign([TopicPartition(name, partition, 0) for partition in range(topic.partitions)])
            wanted = sum(end for (of, _), end in self.ends().items() if of == name)
            deadline = time.monotonic() + MARGIN_SECONDS
            while len(found) < wanted and time.monotonic() < deadline:
                found += consumer.consume(1000, timeout=1)
        finally:
            consumer.close()
        return found

    def table(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = DeltaTable(str(self.directory / "tables" / name)).to_pyarrow_table().to_pylist()
        return rows

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + MARGIN_SECONDS
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None, f"the lakehouse ended: {self.log()}"
            assert time.monotonic() < deadline, f"no {what} within {MARGIN_SECONDS:.0f} s: {self.log()}"
            time.sleep(0.2)

    def log(self) -> str:
        return (self.directory / "lakehouse.log").read_text(errors="replace")[-3000:]


@pytest.fixture(scope="module")
def line(platform: Any, tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[Line]:
    made = Line(platform, f"lake{uuid4().hex[:8]}.", tmp_path_factory.mktemp("lakehouse"), free_port)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def transaction(number: int, event_time: int = 0) -> dict[str, Any]:
    return {
        "transaction_id": f"tx-{number:06d}",
        "event_time": event_time or NOW_US + number,
        "card_token": f"{number % 50:032x}",
        "card_token_key_id": "dev-1",
        "card_bin": "411111",
        "card_last_four": "1111",
        "amount_minor": 1000 + number,
        "currency": "EUR",
        "merchant_id": "merchant-1",
        "merchant_category_code": "5411",
        "country": "DE",
        "channel": "ecom",
        "transaction_type": "purchase",
        "status": "approved",
        "device_id": None,
        "ip_address": None,
        "latitude": None,
        "longitude": 13.4,
        "base_currency": "EUR",
        "base_amount_minor": 1000 + number,
        "merchant_category_group": "grocery",
        "bin_country": "US",
        "hour_of_day": 0,
        "day_of_week": 2,
        "raw_topic": "raw",
        "raw_partition": 0,
        "raw_offset": number,
        "raw_broker_time": NOW_US + number,
        "enriched_at": NOW_US + number,
    }


def alert(number: int, status: str) -> dict[str, Any]:
    shown = transaction(number)
    names = ("transaction_id", "event_time", "card_token", "card_bin", "card_last_four", "merchant_id", "country",
             "amount_minor", "currency", "base_amount_minor", "raw_broker_time")  # fmt: skip
    return {
        **{name: shown[name] for name in names},
        "alert_id": alert_id("velocity", 1, shown["transaction_id"]),
        "status": status,
        "rule_id": "velocity",
        "rule_version": 1,
        "rule_title": "Many payments",
        "severity": "high",
        "mode": "live",
        "scope": "card",
        "key": shown["card_token"],
        "measures": [
            {"name": "n", "expression": "count(*)", "window_us": 600_000_000, "value": number},
            {"name": "m", "expression": "mean(amount_minor)", "window_us": 600_000_000, "value": 2.5},
            {"name": "s", "expression": "sum(amount_minor)", "window_us": 600_000_000, "value": None},
        ],
        "window_start": NOW_US - 1,
        "evidence_transaction_ids": [shown["transaction_id"]],
        "evidence_count": 1,
        "detected_at": NOW_US,
    }


def undecodable(line: Line) -> dict[bytes | None, Reason]:
    good = line.encode_silver(transaction(1))
    header = good[: HEADER.size]
    return {
        None: Reason.EMPTY_MESSAGE,
        b"\x00\x01": Reason.NOT_CONFLUENT_FRAMED,
        b'{"card_number": "' + CARD_NUMBER.encode() + b'"}': Reason.NOT_CONFLUENT_FRAMED,
        HEADER.pack(0, 2_000_000_123) + good[HEADER.size :]: Reason.UNKNOWN_SCHEMA_ID,
        b"\x00\xff\xff\xff\xff" + good[HEADER.size :]: Reason.UNKNOWN_SCHEMA_ID,
        HEADER.pack(0, line.schema_ids["alert"]) + good[HEADER.size :]: Reason.WRONG_SCHEMA,
        good[: len(good) // 2]: Reason.UNDECODABLE_AVRO,
        # A string of 1.6 GB: believing it would cost the process its memory.
        header + b"\x80\x88\xe4\xf6\x0b" + good[HEADER.size + 1 :]: Reason.UNDECODABLE_AVRO,
    }


def wave(line: Line, rng: random.Random, first: int, count: int) -> None:
    """A part of the traffic; some of it repeats what earlier waves held."""
    for number in range(first, first + count):
        record = transaction(number)
        value = line.encode_silver(record)
        line.send(TRANSACTIONS_SILVER, value, record["card_token"])
        line.send(TRANSACTIONS_RAW, value, record["card_token"], headers=[("traceparent", b"00-ab"), ("none", None)])
        if rng.random() < 0.1:
            repeated = transaction(rng.randrange(number + 1))
            line.send(TRANSACTIONS_SILVER, line.encode_silver(repeated), repeated["card_token"])
        if number % 10 == 0:
            document = {"transaction_id": f"json-{number}", "card_number": CARD_NUMBER, "event_time": NOW_US + 1}
            line.send(TRANSACTIONS_JSON, json.dumps(document).encode(), CARD_NUMBER)
        if number % 7 == 0:
            for status in ("raised", "raised", "retracted")[: 1 + number % 3]:
                record = alert(number, status)
                line.send(ALERTS, line.encode_alert(record), record["key"])
    line.producer.flush(MARGIN_SECONDS)


def send_late(line: Line, number: int, detector: str = "detector", scopes: str = "card,merchant") -> None:
    """A transaction 1.5 seconds behind the watermark, as a detector publishes it."""
    headers = {
        "detector": detector,
        "query": "velocity-card-merchant",
        "scopes": scopes,
        "watermark_us": str(NOW_US + number + 1_500_000),
        "silver_partition": "2",
        "silver_offset": str(number),
    }
    record = transaction(number)
    encoded = [(name, text.encode()) for name, text in headers.items()]
    line.send(TRANSACTIONS_LATE, line.encode_silver(record), record["card_token"], headers=encoded)


def test_empty_tables_are_there_before_any_message(line: Line) -> None:
    line.start()
    # The first micro-batches are empty ones; with them every partition has a position.
    ends = line.ends()
    line.wait(lambda: line.positions() == ends, "position of every partition")
    for name in ("bronze/transactions", "bronze/late", "bronze/quarantine", "silver/transactions", "gold/alerts"):
        assert line.table(name) == []


def test_tables_equal_topics_after_kills_and_a_clean_stop(line: Line) -> None:
    rng = random.Random(4)
    wave(line, rng, 0, 400)
    for value in undecodable(line):
        line.send(TRANSACTIONS_SILVER, value)
    # The same transaction with another day: still one transaction.
    line.send(
        TRANSACTIONS_SILVER, line.encode_silver(transaction(3, NOW_US - 40 * DAY_US)), transaction(3)["card_token"]
    )
    line.send(TRANSACTIONS_RAW, None)
    line.send(TRANSACTIONS_RAW, b"device=" + CARD_NUMBER.encode())
    line.send(ALERTS, b"no alert")
    line.send(TRANSACTIONS_LATE, b"not late")
    for header in (b"", b"soon"):
        # Not a detector's: no reason to lose it, or to take the second for the first.
        line.send(TRANSACTIONS_LATE, line.encode_silver(transaction(2)), headers=[("watermark_us", header)])
    send_late(line, 1, detector="other", scopes="card")
    line.producer.flush(MARGIN_SECONDS)
    for kills in range(2):
        before = line.positions()
        line.wait(lambda before=before: sum(line.positions().values()) > sum(before.values()), "progress")  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.7))  # anywhere in a micro-batch
        line.kill()
        for number in (1, 1, 7):
            send_late(line, number)
        wave(line, rng, 400 + 100 * kills, 100)
        line.start()
    ends = line.ends()
    line.wait(lambda: line.positions() == ends, "end of the topics")

    assert line.process is not None
    line.process.send_signal(signal.SIGTERM)
    assert line.process.wait(MARGIN_SECONDS) == 0, line.log()


def test_bronze_is_every_message(line: Line) -> None:
    rows = {(row["topic"], row["partition"], row["offset"]): row for row in line.table("bronze/transactions")}
    assert len(rows) == len(line.table("bronze/transactions"))
    sent = [*line.messages(TRANSACTIONS_RAW), *line.messages(TRANSACTIONS_JSON)]
    assert rows.keys() == {(m.topic(), m.partition(), m.offset()) for m in sent}
    for message in sent:
        row = rows[message.topic(), message.partition(), message.offset()]
        assert row["timestamp_type"] == "LogAppendTime"
        assert round(row["broker_time"].timestamp() * 1000) == message.timestamp()[1]
        holds_card = CARD_NUMBER.encode() in (message.value() or b"")
        assert row["redacted"] is holds_card
        if not holds_card:
            assert (row["key"], row["value"]) == (message.key(), message.value())
            headers = [(header["key"], header["value"]) for header in row["headers"] or []]
            assert headers == (message.headers() or [])


def test_card_numbers_are_masked_and_nothing_else_is(line: Line) -> None:
    rows = [row for row in line.table("bronze/transactions") if row["topic"].endswith(TRANSACTIONS_JSON.base_name)]
    assert rows
    for row in rows:
        document = json.loads(row["value"])
        assert document["card_number"] == "*" * 16
        assert document["event_time"] == NOW_US + 1
        assert row["key"] == b"*" * 16
    for kept in (*line.table("bronze/transactions"), *line.table("bronze/quarantine")):
        for held in (kept["key"], kept["value"]):
            assert CARD_NUMBER.encode() not in (held or b"")


def test_silver_is_every_transaction_once(line: Line) -> None:
    rows = line.table("silver/transactions")
    assert sorted(row["transaction_id"] for row in rows) == [f"tx-{number:06d}" for number in range(600)]
    for row in rows:
        expected = transaction(int(row["transaction_id"][3:]))
        for name, value in expected.items():
            held = row[name]
            assert (microseconds(held) if hasattr(held, "tzinfo") else held) == value, name
        assert row["event_date"].isoformat() == row["event_time"].date().isoformat()


def test_undecodable_messages_are_kept_with_their_reason(line: Line) -> None:
    kept = {row["value"]: Reason(row["reason"]) for row in line.table("bronze/quarantine")}
    expected = {
        value.replace(CARD_NUMBER.encode(), b"*" * 16) if value else value: reason
        for value, reason in undecodable(line).items()
    }
    assert kept == {**expected, b"no alert": Reason.NOT_CONFLUENT_FRAMED, b"not late": Reason.NOT_CONFLUENT_FRAMED}
    assert len(line.table("bronze/quarantine")) == len(kept)


def test_a_late_transaction_is_kept_once_for_each_detector(line: Line) -> None:
    rows = line.table("bronze/late")
    assert sorted((row["detector"] or "", row["transaction_id"], row["scopes"]) for row in rows) == [
        *[("", "tx-000002", None)] * 2,
        ("detector", "tx-000001", ["card", "merchant"]),
        ("detector", "tx-000007", ["card", "merchant"]),
        ("other", "tx-000001", ["card"]),
    ]
    sent = {(message.partition(), message.offset()): message for message in line.messages(TRANSACTIONS_LATE)}
    for row in rows:
        message = sent[row["partition"], row["offset"]]
        assert row["value"] == message.value()
        assert round(row["broker_time"].timestamp() * 1000) == message.timestamp()[1]
        if row["detector"]:
            expected = transaction(row["silver_offset"])
            assert row["card_token"] == expected["card_token"]
            assert microseconds(row["event_time"]) == expected["event_time"]
            assert microseconds(row["watermark"]) == expected["event_time"] + 1_500_000
            assert row["lateness_seconds"] == 1.5
            assert (row["query"], row["silver_partition"]) == ("velocity-card-merchant", 2)


def test_gold_has_the_last_status_of_every_alert(line: Line) -> None:
    rows = {row["alert_id"]: row for row in line.table("gold/alerts")}
    assert len(rows) == len(line.table("gold/alerts"))
    numbers = range(0, 600, 7)
    assert rows.keys() == {alert(number, "")["alert_id"] for number in numbers}
    for number in numbers:
        row = rows[alert(number, "")["alert_id"]]
        assert row["status"] == ("retracted" if number % 3 == 2 else "raised")
        assert microseconds(row["event_time"]) == NOW_US + number
        assert [(m["value"], m["value_long"]) for m in row["measures"]] == [
            (float(number), number),
            (2.5, None),
            (None, None),
        ]


def microseconds(moment: Any) -> int:
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1_000_000 + int(moment.microsecond)
