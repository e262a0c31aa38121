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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.identity import alert_id, dead_letter_id
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    DEAD_LETTERS,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_contracts.wire import HEADER, Decoder, Encoder
from cardwatch_kafka.setup import apply_all
from cardwatch_service.metrics import CONSUMER_POSITION
from confluent_kafka import Producer
from deltalake import DeltaTable
from prometheus_client.parser import text_string_to_metric_families
from support import killable_lakehouse
from support.background import meanwhile
from support.recomputed.pipeline_minutes import defined_minutes, kept_minutes
from support.recomputed.velocity_windows import grouped_windows, kept_windows
from support.topics import ends, messages

pytestmark = pytest.mark.integration

TOPICS = (
    TRANSACTIONS_RAW,
    TRANSACTIONS_JSON,
    TRANSACTIONS_SILVER,
    TRANSACTIONS_LATE,
    ALERTS,
    ALERTS_FEEDBACK,
    DEAD_LETTERS,
)
CARD_NUMBER = "4111111111111111"  # published test number
NOW_US = 1_795_478_400_000_000
MINUTE_US = 60_000_000
MARGIN_SECONDS = 240.0  # the machine may be busy with other tests
# So many of the kills end the process, Java and all, as when a machine loses power; each costs a cold start, half a
# minute. The others end all queries within it. Who changes how tables are written asks for 10.
POWER_LOSSES = int(os.environ.get("CARDWATCH_TEST_POWER_LOSSES", "1"))


@dataclass(frozen=True)
class Moment:
    """A moment in the life of micro-batches: so long after so many further files of tables or checkpoints.

    Attributes:
        files: which, relative to the line's directory.
    """

    files: str
    number: int
    seconds: float = 0.0


@dataclass
class Line:
    """A deployment of its own on the shared platform: its topics, and one lakehouse process."""

    platform: Any
    prefix: str
    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0  # begun so far
    transactions: int = 0  # sent so far: numbers 0 to this

    def __post_init__(self) -> None:
        apply_all(self.platform.bootstrap_servers, self.platform.registry_url, self.prefix)
        self.registry = registry = ConfluentRegistry(self.platform.registry_url)
        self.producer = Producer({"bootstrap.servers": self.platform.bootstrap_servers, "linger.ms": 5})
        self.schema_ids = {
            str(topic.schema): registry.id_of(topic.subject(self.prefix), str(topic.schema))
            for topic in (TRANSACTIONS_SILVER, ALERTS, ALERTS_FEEDBACK, DEAD_LETTERS)
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
            "CARDWATCH_LAKEHOUSE_TRIGGER": "2s",
            "CARDWATCH_LAKEHOUSE_MAX_OFFSETS_PER_TRIGGER": "1000",  # several micro-batches, so that kills hit some
            "CARDWATCH_LAKEHOUSE_PROFILES": "false",  # nothing here looks at them; they have tests of their own
            "CARDWATCH_LAKEHOUSE_MINUTES_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_VELOCITY_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_VELOCITY_LATE_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(self.directory / "tables"),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(self.directory / "checkpoints"),
        }
        command = [sys.executable, killable_lakehouse.__file__, str(self.lives)]
        self.lives += 1
        with (self.directory / "lakehouse.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL for the driver and its JVM at once, as when a machine loses power."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def kill_queries(self) -> None:
        """End all queries wherever they are; ``revive`` starts them again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"the lakehouse ended: {self.log()}"

    def revive(self) -> None:
        assert self.process is not None
        self.lives += 1
        self.process.send_signal(signal.SIGCONT)

    def forget(self, query: str, topic: Topic) -> None:
        """Leave a checkpoint as one from before the query read the topic."""
        name = topic.name(self.prefix)
        for file in (self.directory / "checkpoints" / query / "offsets").glob("[0-9]*"):
            *head, offsets = file.read_text().splitlines()
            kept = {topic: at for topic, at in json.loads(offsets).items() if topic != name}
            file.write_text("\n".join([*head, json.dumps(kept)]))
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)

    def wait_for_moment(self, moment: Moment) -> None:
        """Wait until micro-batches have come to a moment that they had not come to before."""
        before = set(self.directory.glob(moment.files))
        deadline = time.monotonic() + MARGIN_SECONDS
        while len(set(self.directory.glob(moment.files)) - before) < moment.number:
            assert self.process is not None
            assert self.process.poll() is None, f"the lakehouse ended: {self.log()}"
            assert time.monotonic() < deadline, f"too few new {moment.files}: {self.log()}"
            time.sleep(0.03)  # looking is work too, for one of two cores
        time.sleep(moment.seconds)

    def unfinished(self) -> set[tuple[str, int]]:
        """The micro-batches that were begun and will be done again: query and number."""
        newest = {
            query.name: (_newest(query / "offsets"), _newest(query / "commits"))
            for query in (self.directory / "checkpoints").iterdir()
        }
        return {(name, begun) for name, (begun, done) in newest.items() if begun > done}

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

    def ends(self) -> dict[tuple[str, int], int]:
        return ends(self.platform.bootstrap_servers, *(topic.name(self.prefix) for topic in TOPICS))

    def messages(self, topic: Topic) -> list[Any]:
        """Every message of a topic, read independently of Spark."""
        return messages(self.platform.bootstrap_servers, topic.name(self.prefix))

    def first_of_each(self, topic: Topic, identity: str) -> dict[str, dict[str, Any]]:
        """The records of a topic by their identity, of each the first; without what cannot be decoded."""
        decode = Decoder(str(topic.schema), self.registry)
        found: dict[str, dict[str, Any]] = {}
        for message in self.messages(topic):
            with suppress(RefusedError):
                record = decode(message.value())
                found.setdefault(record[identity], record)
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


def _newest(directory: Path) -> int:
    """The highest number among a checkpoint's files, -1 where there is none."""
    return max((int(file.name) for file in directory.glob("[0-9]*") if file.name.isdecimal()), default=-1)


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


def wave(line: Line, rng: random.Random, count: int) -> None:
    """A part of the traffic; some of it repeats what earlier waves held."""
    for number in range(line.transactions, line.transactions + count):
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
    line.transactions += count
    line.producer.flush(MARGIN_SECONDS)


@contextmanager
def traffic(line: Line) -> Iterator[None]:
    """Waves, one after the other, for the length of a ``with``."""
    rng = random.Random(5)

    def go_on(ended: Event) -> None:
        while not ended.wait(0.6):
            wave(line, rng, 10)
            for number in (1, 1, 7):
                send_late(line, number)

    with meanwhile(go_on):
        yield


def send_label(line: Line, number: int, label: str, seconds: int, note: str = "") -> None:
    """What an analyst says of an alert, so many seconds after NOW_US."""
    record = {
        "alert_id": alert(number, "")["alert_id"],
        "label": label,
        "note": note,
        "labelled_by": "anna",
        "labelled_at": NOW_US + seconds * 1_000_000,
    }
    line.send(ALERTS_FEEDBACK, Encoder("alert_feedback", line.schema_ids["alert_feedback"])(record), record["alert_id"])


def send_dead_letter(line: Line, offset: int, value: bytes, service: str = "enricher") -> None:
    """A message of the raw topic that a service has refused; each time with other clocks."""
    record = {
        "dead_letter_id": dead_letter_id("raw", 0, offset),
        "reason": Reason.INVALID_AMOUNT.value,
        "detail": "an amount is never negative",
        "service": service,
        "source_topic": "raw",
        "source_partition": 0,
        "source_offset": offset,
        "source_time": NOW_US + offset,
        "key": b"k",
        "value": value,
        "redacted": False,
        "headers": [{"name": "traceparent", "value": b"00-ab"}],
        "refused_at": time.time_ns() // 1000,
    }
    line.send(DEAD_LETTERS, Encoder("dead_letter", line.schema_ids["dead_letter"])(record))


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


# When the queries are killed. Most interesting is the time between Delta's commit and Spark's: the micro-batch is in
# the table, and Spark will bring it again. Whichever query it is: in each life another one is started first.
COMMITS_OF_DELTA, BEGINNINGS, COMMITS_OF_SPARK = (
    "tables/*/*/_delta_log/[0-9]*.json",
    "checkpoints/*/offsets/[0-9]*",
    "checkpoints/*/commits/[0-9]*",
)
MOMENTS: tuple[Callable[[random.Random], Moment], ...] = (
    lambda rng: Moment("tables/silver/transactions/_delta_log/[0-9]*.json", 1),
    lambda rng: Moment(COMMITS_OF_DELTA, 1),
    lambda rng: Moment(BEGINNINGS, 1, rng.uniform(0, 2)),
    # One of several commits for one micro-batch: events, alerts, labels, labels onto alerts.
    lambda rng: Moment("tables/*/alert*/_delta_log/[0-9]*.json", 1),
    lambda rng: Moment(COMMITS_OF_DELTA, 2),
    lambda rng: Moment(COMMITS_OF_SPARK, 1, rng.uniform(0, 0.7)),
    lambda rng: Moment(COMMITS_OF_DELTA, 3),
    lambda rng: Moment(BEGINNINGS, 1, rng.uniform(0, 2)),
    lambda rng: Moment(COMMITS_OF_DELTA, 1),
    lambda rng: Moment(COMMITS_OF_SPARK, 2),
)
KILLS = len(MOMENTS)


def test_empty_tables_are_there_before_any_message(line: Line) -> None:
    line.start()
    # The first micro-batches are empty ones; with them every partition has a position.
    ends = line.ends()
    line.wait(lambda: ends.items() <= line.positions().items(), "position of every partition")
    for name in ("bronze/transactions", "bronze/late", "bronze/quarantine", "silver/transactions", "gold/alerts"):
        assert line.table(name) == []
    with urllib.request.urlopen(f"http://127.0.0.1:{line.port}/metrics", timeout=10) as answer:
        assert b'cardwatch_lakehouse_live_files{table="silver.transactions"} 0.0' in answer.read()


def test_a_label_may_come_before_its_alert(line: Line) -> None:
    send_label(line, 0, "fraud", 20, note=f"holder of {CARD_NUMBER} says so")
    send_label(line, 7, "unclear", 5)
    line.producer.flush(MARGIN_SECONDS)
    line.wait(lambda: len(line.table("gold/alert_labels")) == 2, "labels")
    assert line.table("gold/alerts") == []


def test_tables_equal_topics_after_kills_and_a_clean_stop(line: Line) -> None:
    rng = random.Random(4)
    wave(line, rng, 400)
    for value in undecodable(line):
        line.send(TRANSACTIONS_SILVER, value)
    # A retry that was stamped anew, here with another day: still one transaction.
    line.send(
        TRANSACTIONS_SILVER, line.encode_silver(transaction(3, NOW_US - 40 * MINUTE_US)), transaction(3)["card_token"]
    )
    line.send(TRANSACTIONS_RAW, None)
    line.send(TRANSACTIONS_RAW, b"device=" + CARD_NUMBER.encode())
    line.send(ALERTS, b"no alert")
    line.send(ALERTS_FEEDBACK, b"no label")
    send_label(line, 14, "perhaps", 1)
    line.send(DEAD_LETTERS, b"no letter")
    for offset in (1, 2, 1):
        send_dead_letter(line, offset, b'{"card_number": "' + CARD_NUMBER.encode() + b'"}')
    line.send(TRANSACTIONS_LATE, b"not late")
    for header in (b"", b"soon"):
        # Not a detector's: no reason to lose it, or to take the second for the first.
        line.send(TRANSACTIONS_LATE, line.encode_silver(transaction(2)), headers=[("watermark_us", header)])
    send_late(line, 1, detector="other", scopes="card")
    line.producer.flush(MARGIN_SECONDS)
    struck: set[tuple[str, int]] = set()
    with traffic(line):
        for kill, moment in enumerate(MOMENTS):
            line.wait_for_moment(moment(rng))
            power_loss = kill < POWER_LOSSES
            (line.kill if power_loss else line.kill_queries)()
            struck |= line.unfinished()
            if kill == 0:
                line.forget("gold.alerts", ALERTS_FEEDBACK)
                # Of an alert that is there: an earlier label that comes later, and one of the same time.
                send_label(line, 0, "legitimate", 10)
                send_label(line, 7, "fraud", 5)
                send_label(line, 21, "legitimate", 1, note="known customer")
                send_dead_letter(line, 2, b"again")
                send_dead_letter(line, 2, b"again", service="notifier")
            (line.start if power_loss else line.revive)()
    assert len(struck) >= KILLS, "queries were killed in the middle of micro-batches"
    ends = line.ends()
    line.wait(lambda: ends.items() <= line.positions().items(), "end of the topics")
    tables_dir = str(line.directory / "tables")
    line.wait(lambda: kept_windows(tables_dir) == grouped_windows(tables_dir), "windows of all transactions")
    line.wait(
        lambda: kept_minutes(line.directory / "tables") == defined_minutes(line.directory / "tables"), "minutes of all"
    )

    assert line.process is not None
    line.process.send_signal(signal.SIGTERM)
    assert line.process.wait(MARGIN_SECONDS) == 0, line.log()


def test_bronze_is_every_message(line: Line) -> None:
    rows = {(row["topic"], row["partition"], row["offset"]): row for row in line.table("bronze/transactions")}
    assert len(rows) == len(line.table("bronze/transactions"))
    sent = [*line.messages(TRANSACTIONS_RAW), *line.messages(TRANSACTIONS_JSON)]
    assert rows.keys() == {(m.topic(), m.partition(), m.offset()) for m in sent}
    size = sum(len(m.value() or b"") for m in sent)  # masking keeps lengths
    assert sum(len(row["value"] or b"") for row in rows.values()) == size
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
    sent = line.first_of_each(TRANSACTIONS_SILVER, "transaction_id")
    assert sorted(sent) == [f"tx-{number:06d}" for number in range(line.transactions)]
    assert sorted(row["transaction_id"] for row in rows) == sorted(sent)
    amounts = sum(record["base_amount_minor"] for record in sent.values())
    assert sum(row["base_amount_minor"] for row in rows) == amounts
    for row in rows:
        expected = transaction(int(row["transaction_id"][3:]))
        for name, value in expected.items():
            held = row[name]
            assert (microseconds(held) if hasattr(held, "tzinfo") else held) == value, name
        assert row["event_date"].isoformat() == row["event_time"].date().isoformat()


def test_windows_are_those_of_silver(line: Line) -> None:
    tables_dir = str(line.directory / "tables")
    assert kept_windows(tables_dir) == grouped_windows(tables_dir)
    by_card = [row for row in line.table("gold/velocity_5m") if row["dimension"] == "card"]
    assert sum(row["transactions"] for row in by_card) == line.transactions


def test_undecodable_messages_are_kept_with_their_reason(line: Line) -> None:
    rows = [row for row in line.table("bronze/quarantine") if row["service"] == "lakehouse"]
    later = {ALERTS_FEEDBACK.name(line.prefix), DEAD_LETTERS.name(line.prefix)}
    of_later = [row["reason"] for row in rows if row["topic"] in later]
    assert sorted(of_later) == [Reason.NOT_CONFLUENT_FRAMED, Reason.NOT_CONFLUENT_FRAMED, Reason.UNKNOWN_LABEL]
    rows = [row for row in rows if row["topic"] not in later]
    kept = {row["value"]: Reason(row["reason"]) for row in rows}
    expected = {
        value.replace(CARD_NUMBER.encode(), b"*" * 16) if value else value: reason
        for value, reason in undecodable(line).items()
    }
    assert kept == {**expected, b"no alert": Reason.NOT_CONFLUENT_FRAMED, b"not late": Reason.NOT_CONFLUENT_FRAMED}
    assert len(rows) == len(kept)


def test_a_dead_letter_is_kept_once_with_where_its_message_was(line: Line) -> None:
    rows = {(r["service"], r["offset"]): r for r in line.table("bronze/quarantine") if r["service"] != "lakehouse"}
    assert rows.keys() == {("enricher", 1), ("enricher", 2), ("notifier", 2)}
    sent = {(m.partition(), m.offset()): m for m in line.messages(DEAD_LETTERS)}
    for (service, offset), row in rows.items():
        assert (row["topic"], row["partition"], microseconds(row["broker_time"])) == ("raw", 0, NOW_US + offset)
        assert (row["key"], row["reason"], row["detail"]) == (b"k", "invalid_amount", "an amount is never negative")
        assert row["headers"] == [{"key": "traceparent", "value": b"00-ab"}]
        masked = b'{"card_number": "' + b"*" * 16 + b'"}'
        assert (row["value"], row["redacted"]) == ((masked, True) if service == "enricher" else (b"again", False))
        letter = sent[row["dead_letter_partition"], row["dead_letter_offset"]]
        assert (row["dead_letter_topic"], letter.timestamp()[1]) == (
            letter.topic(),
            microseconds(row["dead_letter_broker_time"]) // 1000,
        )
    assert len([r for r in line.table("bronze/quarantine") if r["service"] != "lakehouse"]) == 3


def test_the_last_label_of_an_alert_holds(line: Line) -> None:
    rows = {row["alert_id"]: row for row in line.table("gold/alerts") if row["label"] is not None}
    found = {number: rows.pop(alert(number, "")["alert_id"]) for number in (0, 7, 21)}
    assert rows == {}
    assert {number: row["label"] for number, row in found.items()} == {0: "fraud", 7: "fraud", 21: "legitimate"}
    assert {microseconds(row["labelled_at"]) - NOW_US for row in found.values()} == {20_000_000, 5_000_000, 1_000_000}
    assert [row["label_note"] for row in found.values()] == [f"holder of {'*' * 16} says so", "", "known customer"]
    assert {row["labelled_by"] for row in found.values()} == {"anna"}
    assert len(line.table("gold/alert_labels")) == 3


def test_an_alerts_events_are_kept_once(line: Line) -> None:
    sent = {(number, status) for number in range(0, line.transactions, 7) for status in ("raised", "retracted")}
    ids = {alert(number, "")["alert_id"]: number for number, _ in sent}
    kept = [(ids[row["alert_id"]], row["status"]) for row in line.table("bronze/alert_events")]
    assert sorted(kept) == sorted((n, status) for n, status in sent if status == "raised" or n % 3 == 2)


def test_minutes_are_those_of_the_tables(line: Line) -> None:
    kept = kept_minutes(line.directory / "tables")
    assert kept == defined_minutes(line.directory / "tables")
    assert sum(row["rows"] for row in kept if row["service"] == "enricher") == line.transactions
    assert sum(row["refused"] for row in kept if row["service"] == "enricher") == 2


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
    sent = line.first_of_each(ALERTS, "alert_id")
    numbers = range(0, line.transactions, 7)
    assert rows.keys() == sent.keys() == {alert(number, "")["alert_id"] for number in numbers}
    amounts = sum(record["base_amount_minor"] for record in sent.values())
    assert sum(row["base_amount_minor"] for row in rows.values()) == amounts
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
