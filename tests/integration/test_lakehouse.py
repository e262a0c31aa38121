"""The lakehouse on real broker, registry, Spark and Delta: every table equals its topic after kills at any moment."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
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
from cardwatch_contracts.wire import HEADER, Decoder, Record
from deltalake import DeltaTable
from support import killable_lakehouse
from support.background import run_in_background
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, service_environment
from support.recomputed.pipeline_minutes import read_minutes, recompute_minutes
from support.recomputed.velocity_windows import read_windows, recompute_windows
from support.records import CARD_NUMBER, MINUTE_US, alert_record, dead_letter_record, enriched_record, feedback_record
from support.records import EVENT_TIME_US as NOW_US
from support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

TOPICS = (
    TRANSACTIONS_RAW,
    TRANSACTIONS_JSON,
    TRANSACTIONS_SILVER,
    TRANSACTIONS_LATE,
    ALERTS,
    ALERTS_FEEDBACK,
    DEAD_LETTERS,
)
MARGIN_SECONDS = 240.0  # the machine may be busy with other tests
# So many of the kills end the process, Java and all, as when a machine loses power; each costs a cold start, half a
# minute. The others end all queries within it. Who changes how tables are written asks for 10.
POWER_LOSSES = int(os.environ.get("CARDWATCH_TEST_POWER_LOSSES", "1"))


@dataclass(frozen=True)
class Moment:
    """A moment in the life of micro-batches: so long after so many further files of tables or checkpoints.

    Attributes:
        files: which, relative to the lakehouse's directory.
    """

    files: str
    number: int
    seconds: float = 0.0


class Lakehouse(ServiceProcess):
    """One lakehouse process on topics of its own; see ``support.killable_lakehouse``.

    Attributes:
        topics: which it turns into tables.
        directory: where its tables and checkpoints are.
        transactions: how many were sent so far: numbers 0 to this.
    """

    def __init__(self, platform: Platform, topics: KafkaTopics, directory: Path) -> None:
        settings = {
            "CARDWATCH_LAKEHOUSE_TRIGGER": "2s",
            "CARDWATCH_LAKEHOUSE_MAX_OFFSETS_PER_TRIGGER": "1000",  # several micro-batches, so that kills hit some
            "CARDWATCH_LAKEHOUSE_PROFILES": "false",  # nothing here looks at them; they have tests of their own
            "CARDWATCH_LAKEHOUSE_MINUTES_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_VELOCITY_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_VELOCITY_LATE_TRIGGER": "10s",
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(directory / "tables"),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(directory / "checkpoints"),
        }
        super().__init__(
            [sys.executable, killable_lakehouse.__file__],
            service_environment(platform, topics.prefix, **settings),
            directory / "lakehouse.log",
            wait_seconds=MARGIN_SECONDS,
        )
        self.topics = topics
        self.directory = directory
        self.transactions = 0
        self._starts_of_queries = 0

    def send(self, topic: Topic, value: bytes | None, key: str = "k", **more: Any) -> None:
        """Send a message; ``topics.flush`` waits until the broker has it."""
        self.topics.send(topic, value, key.encode(), **more)

    def encode_silver(self, record: Record) -> bytes:
        """An enriched transaction as a message."""
        return self.topics.encode(TRANSACTIONS_SILVER, record)

    def start(self) -> None:
        """Start the process; in each life another query is started first."""
        self.command[2:] = [str(self._starts_of_queries)]
        self._starts_of_queries += 1
        super().start()

    def kill_queries(self) -> None:
        """End all queries wherever they are; ``revive`` starts them again."""
        self.process.send_signal(signal.SIGUSR1)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"the lakehouse ended: {self.log_tail()}"

    def revive(self) -> None:
        """Start the queries again that ``kill_queries`` has ended."""
        self._starts_of_queries += 1
        self.process.send_signal(signal.SIGCONT)

    def forget(self, query: str, topic: Topic) -> None:
        """Leave a checkpoint as one from before the query read the topic."""
        name = topic.name(self.topics.prefix)
        for file in (self.directory / "checkpoints" / query / "offsets").glob("[0-9]*"):
            *head, offsets = file.read_text().splitlines()
            kept = {topic: at for topic, at in json.loads(offsets).items() if topic != name}
            file.write_text("\n".join([*head, json.dumps(kept)]))
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)

    def wait_for_moment(self, moment: Moment) -> None:
        """Wait until micro-batches have come to a moment that they had not come to before."""
        before = set(self.directory.glob(moment.files))
        wait_until(
            lambda: not self.is_running or len(set(self.directory.glob(moment.files)) - before) >= moment.number,
            f"{moment.number} new {moment.files}",
            seconds=MARGIN_SECONDS,
            poll_seconds=0.03,  # looking is work too, for one of two cores
            explain=self.log_tail,
        )
        assert self.is_running, f"the lakehouse ended: {self.log_tail()}"
        time.sleep(moment.seconds)

    def unfinished(self) -> set[tuple[str, int]]:
        """The micro-batches that were begun and will be done again: query and number."""
        newest = {
            query.name: (_newest(query / "offsets"), _newest(query / "commits"))
            for query in (self.directory / "checkpoints").iterdir()
        }
        return {(name, begun) for name, (begun, done) in newest.items() if begun > done}

    def wait_for_position_of_every_partition(self, what: str) -> None:
        """Wait until it has come to the present end of every topic."""
        ends = self.topics.end_offsets(*TOPICS)
        self.wait_for(lambda: ends.items() <= self.positions().items(), what)

    def messages(self, topic: Topic) -> list[Any]:
        """Every message of a topic, read independently of Spark."""
        return self.topics.messages(topic)

    def first_of_each(self, topic: Topic, identity: str) -> dict[str, dict[str, Any]]:
        """The records of a topic by their identity, of each the first; without what cannot be decoded."""
        decode = Decoder(str(topic.schema), self.topics.registry, topic.subject(self.topics.prefix))
        found: dict[str, dict[str, Any]] = {}
        for message in self.messages(topic):
            with suppress(RefusedError):
                record = decode(message.value())
                found.setdefault(record[identity], record)
        return found

    def table(self, name: str) -> list[dict[str, Any]]:
        """A table's rows; ``name`` is its directory's."""
        rows: list[dict[str, Any]] = DeltaTable(str(self.directory / "tables" / name)).to_pyarrow_table().to_pylist()
        return rows


def _newest(directory: Path) -> int:
    """The highest number of a checkpoint's files, -1 where there is none."""
    return max((int(file.name) for file in directory.glob("[0-9]*") if file.name.isdecimal()), default=-1)


@pytest.fixture(scope="module")
def lakehouse(
    platform: Platform, new_topic_prefix: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lakehouse]:
    topics = KafkaTopics(platform, new_topic_prefix(), linger_ms=5)
    lakehouse = Lakehouse(platform, topics, tmp_path_factory.mktemp("lakehouse"))
    yield lakehouse
    lakehouse.kill()


def transaction(number: int, event_time: int = 0) -> dict[str, Any]:
    """Transaction ``tx-<number>``, of one of 50 cards."""
    return enriched_record(
        transaction_id=f"tx-{number:06d}",
        event_time=event_time or NOW_US + number,
        card_token=f"{number % 50:031x}c",  # with a letter, as tokens have; digits alone might be a card number
        card_bin="411111",
        amount_minor=1000 + number,
        merchant_id="merchant-1",
        channel="ecom",
        longitude=13.4,
        bin_country="US",
        raw_offset=number,
        raw_broker_time=NOW_US + number,
        enriched_at=NOW_US + number,
    )


def alert(number: int, status: str) -> dict[str, Any]:
    """An alert for the transaction; its mean is not a whole number, and its sum is null."""
    measures = [
        {"name": "n", "expression": "count(*)", "window_us": 600_000_000, "value": number},
        {"name": "m", "expression": "mean(amount_minor)", "window_us": 600_000_000, "value": 2.5},
        {"name": "s", "expression": "sum(amount_minor)", "window_us": 600_000_000, "value": None},
    ]
    return alert_record(transaction(number), status=status, rule_id="velocity", measures=measures)


def undecodable(lakehouse: Lakehouse) -> dict[bytes | None, Reason]:
    good = lakehouse.encode_silver(transaction(1))
    header = good[: HEADER.size]
    return {
        None: Reason.EMPTY_MESSAGE,
        b"\x00\x01": Reason.NOT_CONFLUENT_FRAMED,
        b'{"card_number": "' + CARD_NUMBER.encode() + b'"}': Reason.NOT_CONFLUENT_FRAMED,
        HEADER.pack(0, 2_000_000_123) + good[HEADER.size :]: Reason.UNKNOWN_SCHEMA_ID,
        b"\x00\xff\xff\xff\xff" + good[HEADER.size :]: Reason.UNKNOWN_SCHEMA_ID,
        HEADER.pack(0, lakehouse.topics.schema_id(ALERTS)) + good[HEADER.size :]: Reason.WRONG_SCHEMA,
        good[: len(good) // 2]: Reason.UNDECODABLE_AVRO,
        # Times that no transaction has: the day of the last one would have six digits in its year.
        **{
            lakehouse.encode_silver(transaction(1, event_time)): Reason.EVENT_TIME_IMPLAUSIBLE
            for event_time in (2**63 - 1, -(2**63), -1)
        },
        # Python would fail on it, wherever it is read from the table.
        good.replace(b"merchant-1", b"\xff" * 10): Reason.UNDECODABLE_AVRO,
        # A string of 1.6 GB: allocating it would exhaust the process's memory.
        header + b"\x80\x88\xe4\xf6\x0b" + good[HEADER.size + 1 :]: Reason.UNDECODABLE_AVRO,
    }


def wave(lakehouse: Lakehouse, rng: random.Random, count: int) -> None:
    """A part of the traffic; some messages repeat those of earlier waves."""
    for number in range(lakehouse.transactions, lakehouse.transactions + count):
        record = transaction(number)
        value = lakehouse.encode_silver(record)
        lakehouse.send(TRANSACTIONS_SILVER, value, record["card_token"])
        lakehouse.send(
            TRANSACTIONS_RAW, value, record["card_token"], headers=[("traceparent", b"00-ab"), ("none", None)]
        )
        if rng.random() < 0.1:
            repeated = transaction(rng.randrange(number + 1))
            lakehouse.send(TRANSACTIONS_SILVER, lakehouse.encode_silver(repeated), repeated["card_token"])
        if number % 10 == 0:
            document = {"transaction_id": f"json-{number}", "card_number": CARD_NUMBER, "event_time": NOW_US + 1}
            lakehouse.send(TRANSACTIONS_JSON, json.dumps(document).encode(), CARD_NUMBER)
        if number % 7 == 0:
            for status in ("raised", "raised", "retracted")[: 1 + number % 3]:
                record = alert(number, status)
                lakehouse.send(ALERTS, lakehouse.topics.encode(ALERTS, record), record["key"])
    lakehouse.transactions += count
    lakehouse.topics.flush()


@contextmanager
def traffic(lakehouse: Lakehouse) -> Iterator[None]:
    """Waves, one after the other, for the length of a ``with``."""
    rng = random.Random(5)

    def go_on(ended: Event) -> None:
        while not ended.wait(0.6):
            wave(lakehouse, rng, 10)
            for number in (1, 1, 7):
                send_late(lakehouse, number)

    with run_in_background(go_on):
        yield


def send_label(lakehouse: Lakehouse, number: int, label: str, seconds: int, note: str = "") -> None:
    """Send an analyst's label of an alert, so many seconds after NOW_US."""
    record = feedback_record(alert(number, "")["alert_id"], label, note=note, labelled_at=NOW_US + seconds * 1_000_000)
    lakehouse.send(ALERTS_FEEDBACK, lakehouse.topics.encode(ALERTS_FEEDBACK, record), record["alert_id"])


def send_dead_letter(lakehouse: Lakehouse, offset: int, value: bytes, service: str = "enricher") -> None:
    """A message of the raw topic that a service has refused; each time with other clocks."""
    record = dead_letter_record(
        service=service,
        source_offset=offset,
        source_time=NOW_US + offset,
        value=value,
        headers=[{"name": "traceparent", "value": b"00-ab"}],
        refused_at=time.time_ns() // 1000,
    )
    lakehouse.send(DEAD_LETTERS, lakehouse.topics.encode(DEAD_LETTERS, record))


def send_late(lakehouse: Lakehouse, number: int, detector: str = "detector", scopes: str = "card,merchant") -> None:
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
    lakehouse.send(TRANSACTIONS_LATE, lakehouse.encode_silver(record), record["card_token"], headers=encoded)


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


def test_empty_tables_exist_before_any_message(lakehouse: Lakehouse) -> None:
    lakehouse.start()
    # The first micro-batches are empty ones; with them every partition has a position.
    lakehouse.wait_for_position_of_every_partition("position of every partition")
    for name in ("bronze/transactions", "bronze/late", "bronze/quarantine", "silver/transactions", "gold/alerts"):
        assert lakehouse.table(name) == []
    assert 'cardwatch_lakehouse_live_files{table="silver.transactions"} 0.0' in lakehouse.get("/metrics").text


def test_a_label_may_come_before_its_alert(lakehouse: Lakehouse) -> None:
    send_label(lakehouse, 0, "fraud", 20, note=f"holder of {CARD_NUMBER} says so")
    send_label(lakehouse, 7, "unclear", 5)
    lakehouse.topics.flush()
    lakehouse.wait_for(lambda: len(lakehouse.table("gold/alert_labels")) == 2, "labels")
    assert lakehouse.table("gold/alerts") == []


def test_tables_equal_topics_after_kills_and_a_clean_stop(lakehouse: Lakehouse) -> None:
    rng = random.Random(4)
    wave(lakehouse, rng, 400)
    for value in undecodable(lakehouse):
        lakehouse.send(TRANSACTIONS_SILVER, value)
    # A retry with a new timestamp, here of another day: still one transaction.
    lakehouse.send(
        TRANSACTIONS_SILVER,
        lakehouse.encode_silver(transaction(3, NOW_US - 40 * MINUTE_US)),
        transaction(3)["card_token"],
    )
    lakehouse.send(TRANSACTIONS_RAW, None)
    lakehouse.send(TRANSACTIONS_RAW, b"device=" + CARD_NUMBER.encode())
    lakehouse.send(ALERTS, b"no alert")
    lakehouse.send(ALERTS_FEEDBACK, b"no label")
    send_label(lakehouse, 14, "perhaps", 1)
    lakehouse.send(DEAD_LETTERS, b"no letter")
    for offset in (1, 2, 1):
        send_dead_letter(lakehouse, offset, b'{"card_number": "' + CARD_NUMBER.encode() + b'"}')
    lakehouse.send(TRANSACTIONS_LATE, b"not late")
    for header in (b"", b"soon"):
        # Messages that no detector sent must not be lost, and the second must not count as a repetition of the first.
        lakehouse.send(
            TRANSACTIONS_LATE,
            lakehouse.encode_silver(transaction(2)),
            headers=[("watermark_us", header)],
        )
    send_late(lakehouse, 1, detector="other", scopes="card")
    lakehouse.topics.flush()
    struck: set[tuple[str, int]] = set()
    with traffic(lakehouse):
        for kill, moment in enumerate(MOMENTS):
            lakehouse.wait_for_moment(moment(rng))
            power_loss = kill < POWER_LOSSES
            (lakehouse.kill if power_loss else lakehouse.kill_queries)()
            struck |= lakehouse.unfinished()
            if kill == 0:
                lakehouse.forget("gold.alerts", ALERTS_FEEDBACK)
                # Of an alert that is there: an earlier label that comes later, and one of the same time.
                send_label(lakehouse, 0, "legitimate", 10)
                send_label(lakehouse, 7, "fraud", 5)
                send_label(lakehouse, 21, "legitimate", 1, note="known customer")
                send_dead_letter(lakehouse, 2, b"again")
                send_dead_letter(lakehouse, 2, b"again", service="notifier")
            (lakehouse.start if power_loss else lakehouse.revive)()
    assert len(struck) >= KILLS, "queries were killed in the middle of micro-batches"
    lakehouse.wait_for_position_of_every_partition("end of the topics")
    tables_dir = str(lakehouse.directory / "tables")
    lakehouse.wait_for(lambda: read_windows(tables_dir) == recompute_windows(tables_dir), "windows of all transactions")
    lakehouse.wait_for(
        lambda: read_minutes(lakehouse.directory / "tables") == recompute_minutes(lakehouse.directory / "tables"),
        "minutes of all",
    )

    lakehouse.stop(MARGIN_SECONDS)


def test_bronze_contains_every_message(lakehouse: Lakehouse) -> None:
    rows = {(row["topic"], row["partition"], row["offset"]): row for row in lakehouse.table("bronze/transactions")}
    assert len(rows) == len(lakehouse.table("bronze/transactions"))
    sent = [*lakehouse.messages(TRANSACTIONS_RAW), *lakehouse.messages(TRANSACTIONS_JSON)]
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


def test_card_numbers_are_masked_and_nothing_else_is(lakehouse: Lakehouse) -> None:
    rows = [row for row in lakehouse.table("bronze/transactions") if row["topic"].endswith(TRANSACTIONS_JSON.base_name)]
    assert rows
    for row in rows:
        document = json.loads(row["value"])
        assert document["card_number"] == "*" * 16
        assert document["event_time"] == NOW_US + 1
        assert row["key"] == b"*" * 16
    for kept in (*lakehouse.table("bronze/transactions"), *lakehouse.table("bronze/quarantine")):
        for held in (kept["key"], kept["value"]):
            assert CARD_NUMBER.encode() not in (held or b"")


def test_silver_contains_every_transaction_once(lakehouse: Lakehouse) -> None:
    rows = lakehouse.table("silver/transactions")
    sent = lakehouse.first_of_each(TRANSACTIONS_SILVER, "transaction_id")
    assert sorted(sent) == [f"tx-{number:06d}" for number in range(lakehouse.transactions)]
    assert sorted(row["transaction_id"] for row in rows) == sorted(sent)
    amounts = sum(record["base_amount_minor"] for record in sent.values())
    assert sum(row["base_amount_minor"] for row in rows) == amounts
    for row in rows:
        expected = transaction(int(row["transaction_id"][3:]))
        for name, value in expected.items():
            held = row[name]
            assert (microseconds(held) if hasattr(held, "tzinfo") else held) == value, name
        assert row["event_date"].isoformat() == row["event_time"].date().isoformat()


def test_velocity_windows_follow_from_silver(lakehouse: Lakehouse) -> None:
    tables_dir = str(lakehouse.directory / "tables")
    assert read_windows(tables_dir) == recompute_windows(tables_dir)
    by_card = [row for row in lakehouse.table("gold/velocity_5m") if row["dimension"] == "card"]
    assert sum(row["transactions"] for row in by_card) == lakehouse.transactions


def test_undecodable_messages_are_kept_with_their_reason(lakehouse: Lakehouse) -> None:
    rows = [row for row in lakehouse.table("bronze/quarantine") if row["service"] == "lakehouse"]
    later = {ALERTS_FEEDBACK.name(lakehouse.topics.prefix), DEAD_LETTERS.name(lakehouse.topics.prefix)}
    of_later = [row["reason"] for row in rows if row["topic"] in later]
    assert sorted(of_later) == [Reason.NOT_CONFLUENT_FRAMED, Reason.NOT_CONFLUENT_FRAMED, Reason.UNKNOWN_LABEL]
    rows = [row for row in rows if row["topic"] not in later]
    kept = Counter((row["value"], Reason(row["reason"])) for row in rows)
    expected = Counter((masked(value), reason) for value, reason in undecodable(lakehouse).items())
    others = [(b"no alert", Reason.NOT_CONFLUENT_FRAMED), (b"not late", Reason.NOT_CONFLUENT_FRAMED)]
    assert kept == expected + Counter(others)


def masked(value: bytes | None) -> bytes | None:
    """What bronze keeps of one of the messages above: the digits of the extreme event times hold card numbers too."""
    if value is None:
        return None
    value = value.replace(CARD_NUMBER.encode(), b"*" * 16)
    for extreme in (b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 9 + b"\x01"):  # 2⁶³ − 1 and −2⁶³ in Avro
        value = value.replace(extreme, b"\x80" * 9 + b"\x00")  # 0, in as many bytes
    return value


def test_a_dead_letter_is_kept_once_with_where_its_message_was(lakehouse: Lakehouse) -> None:
    rows = {(r["service"], r["offset"]): r for r in lakehouse.table("bronze/quarantine") if r["service"] != "lakehouse"}
    assert rows.keys() == {("enricher", 1), ("enricher", 2), ("notifier", 2)}
    sent = {(m.partition(), m.offset()): m for m in lakehouse.messages(DEAD_LETTERS)}
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
    assert len([r for r in lakehouse.table("bronze/quarantine") if r["service"] != "lakehouse"]) == 3


def test_the_last_label_of_an_alert_holds(lakehouse: Lakehouse) -> None:
    rows = {row["alert_id"]: row for row in lakehouse.table("gold/alerts") if row["label"] is not None}
    found = {number: rows.pop(alert(number, "")["alert_id"]) for number in (0, 7, 21)}
    assert rows == {}
    assert {number: row["label"] for number, row in found.items()} == {0: "fraud", 7: "fraud", 21: "legitimate"}
    assert {microseconds(row["labelled_at"]) - NOW_US for row in found.values()} == {20_000_000, 5_000_000, 1_000_000}
    assert [row["label_note"] for row in found.values()] == [f"holder of {'*' * 16} says so", "", "known customer"]
    assert {row["labelled_by"] for row in found.values()} == {"anna"}
    assert len(lakehouse.table("gold/alert_labels")) == 3


def test_an_alerts_events_are_kept_once(lakehouse: Lakehouse) -> None:
    sent = {(number, status) for number in range(0, lakehouse.transactions, 7) for status in ("raised", "retracted")}
    ids = {alert(number, "")["alert_id"]: number for number, _ in sent}
    kept = [(ids[row["alert_id"]], row["status"]) for row in lakehouse.table("bronze/alert_events")]
    assert sorted(kept) == sorted((n, status) for n, status in sent if status == "raised" or n % 3 == 2)


def test_pipeline_minutes_follow_from_the_other_tables(lakehouse: Lakehouse) -> None:
    kept = read_minutes(lakehouse.directory / "tables")
    assert kept == recompute_minutes(lakehouse.directory / "tables")
    assert sum(row["rows"] for row in kept if row["service"] == "enricher") == lakehouse.transactions
    assert sum(row["refused"] for row in kept if row["service"] == "enricher") == 2


def test_a_late_transaction_is_kept_once_for_each_detector(lakehouse: Lakehouse) -> None:
    rows = lakehouse.table("bronze/late")
    assert sorted((row["detector"] or "", row["transaction_id"], row["scopes"]) for row in rows) == [
        *[("", "tx-000002", None)] * 2,
        ("detector", "tx-000001", ["card", "merchant"]),
        ("detector", "tx-000007", ["card", "merchant"]),
        ("other", "tx-000001", ["card"]),
    ]
    sent = {(message.partition(), message.offset()): message for message in lakehouse.messages(TRANSACTIONS_LATE)}
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


def test_gold_has_the_last_status_of_every_alert(lakehouse: Lakehouse) -> None:
    rows = {row["alert_id"]: row for row in lakehouse.table("gold/alerts")}
    assert len(rows) == len(lakehouse.table("gold/alerts"))
    sent = lakehouse.first_of_each(ALERTS, "alert_id")
    numbers = range(0, lakehouse.transactions, 7)
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
