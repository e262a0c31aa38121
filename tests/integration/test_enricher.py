"""The enricher as a process, on the real broker and registry."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cardwatch_contracts.cards import tokenise
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_service.metrics import CONSUMER_POSITION
from cardwatch_service.token_settings import TokenSettings
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families
from support.topics import ends, messages

pytestmark = pytest.mark.integration

COMMAND = Path(sys.executable).with_name("cardwatch-enricher")
CARD_NUMBER = "4111111111111111"


class Line:
    """A deployment of its own on the shared platform: topics, and enrichers started one after another."""

    def __init__(self, platform: Any, prefix: str, directory: Path) -> None:
        self._prefix = prefix
        self._registry = ConfluentRegistry(platform.registry_url)
        self._bootstrap_servers = platform.bootstrap_servers
        self._encode = Encoder("transaction", self._registry.id_of(TRANSACTIONS_RAW.subject(prefix), "transaction"))
        self._producer = Producer(
            {
                "bootstrap.servers": platform.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.max.bytes": 2_000_000,
                "partitioner": "murmur2_random",
            }
        )
        self.log = directory / "enricher.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = ""
        self._environment = {
            **os.environ,
            "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": platform.bootstrap_servers,
            "CARDWATCH_SCHEMA_REGISTRY_URL": platform.registry_url,
            "CARDWATCH_TOPIC_PREFIX": prefix,
            "CARDWATCH_METRICS_PORT": "0",
            "CARDWATCH_LOG_FORMAT": "json",
            "CARDWATCH_ENRICHER_INSTANCE_ID": "enricher-0",
        }

    def start(self) -> None:
        """Start an enricher and wait until it has joined its group."""
        already = len(self._logged())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([COMMAND], env=self._environment, stdout=log, stderr=log)
        wait_for(lambda: any("address" in line for line in self._logged()[already:]), "the health endpoint")
        address = next(line["address"] for line in self._logged()[already:] if "address" in line)
        self._port = address.rpartition(":")[2]
        wait_for(lambda: self.get("/readyz").status_code == 200, "readiness")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self._port}{path}", timeout=10)

    def _logged(self) -> list[dict[str, Any]]:
        lines = []
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def positions(self) -> dict[tuple[str, int], int]:
        """The enricher's positions, as its metrics say."""
        return {
            (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == CONSUMER_POSITION
        }

    def ends(self) -> dict[tuple[str, int], int]:
        """The ends of all partitions that it consumes."""
        return ends(self._bootstrap_servers, *(t.name(self._prefix) for t in (TRANSACTIONS_RAW, TRANSACTIONS_JSON)))

    def wait_until_drained(self, seconds: float = 60) -> None:
        ends = self.ends()
        wait_for(lambda: self.positions() == ends, "the enricher to have processed everything", seconds)

    def produce(self, record: Record) -> None:
        self.produce_bytes(TRANSACTIONS_RAW, self._encode(record), record["card_token"].encode())

    def produce_bytes(self, topic: Topic, value: bytes | None, key: bytes | None = None) -> None:
        self._producer.produce(topic.name(self._prefix), value=value, key=key)
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    def silver(self) -> list[Record]:
        return self._records(TRANSACTIONS_SILVER, "enriched_transaction")

    def letters(self) -> list[Record]:
        return self._records(DEAD_LETTERS, "dead_letter")

    def raw_bytes(self, topic: Topic) -> list[bytes]:
        """Keys and values of everything in a topic."""
        return [bytes(part) for message in self._messages(topic) for part in (message.key(), message.value()) if part]

    def _records(self, topic: Topic, schema_name: str) -> list[Record]:
        decode = Decoder(schema_name, self._registry)
        return [decode(message.value()) for message in self._messages(topic)]

    def _messages(self, topic: Topic) -> list[Any]:
        return messages(self._bootstrap_servers, topic.name(self._prefix))


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")


def transaction(number: int, **changes: Any) -> Record:
    """Transaction ``t-<number>``, of one of 50 cards."""
    return {
        "transaction_id": f"t-{number}",
        "event_time": time.time_ns() // 1000,
        "card_token": f"{number % 50:032x}",
        "card_token_key_id": "dev-1",
        "card_bin": "400000",
        "card_last_four": "1111",
        "amount_minor": 100 + number,
        "currency": "EUR",
        "merchant_id": "m-1",
        "merchant_category_code": "5411",
        "country": "DE",
        "channel": "pos",
        "transaction_type": "purchase",
        "status": "approved",
        "device_id": None,
        "ip_address": None,
        "latitude": None,
        "longitude": None,
        **changes,
    }


def json_transaction(number: int, **changes: Any) -> bytes:
    document = transaction(number)
    for field in ("card_token", "card_token_key_id", "card_bin", "card_last_four"):
        del document[field]
    return json.dumps({**document, "card_number": CARD_NUMBER, **changes}).encode()


@pytest.fixture
def line(platform: Any, topic_prefix: str, tmp_path: Path) -> Iterator[Line]:
    line = Line(platform, topic_prefix, tmp_path)
    try:
        yield line
    finally:
        line.end()


def test_good_and_bad_messages_of_every_kind(line: Line) -> None:
    line.start()
    line.produce(transaction(1))
    line.produce(transaction(2, currency="USD", amount_minor=10_000))
    line.produce_bytes(TRANSACTIONS_JSON, json_transaction(3))
    line.produce(transaction(4, amount_minor=-1))
    line.produce(transaction(5, device_id=f"card {CARD_NUMBER}"))
    line.produce(transaction(6, event_time=time.time_ns() // 1000 + 3_600_000_000))
    line.produce_bytes(TRANSACTIONS_RAW, b"\xde\xad\xbe\xef", b"poison")
    line.produce_bytes(TRANSACTIONS_RAW, b"\x00\x7f\xff\xff\xff" + b"garbage")
    line.produce_bytes(TRANSACTIONS_RAW, None, b"tombstone")
    line.produce_bytes(TRANSACTIONS_RAW, b"x" * 1_040_000, b"large")
    line.produce_bytes(TRANSACTIONS_JSON, json_transaction(7, colour="red"))
    line.produce_bytes(TRANSACTIONS_JSON, b'{"card_number": "4111111111111111"')
    line.produce_bytes(TRANSACTIONS_JSON, None)
    line.flush()
    line.wait_until_drained()

    silver = {record["transaction_id"]: record for record in line.silver()}
    assert sorted(silver) == ["t-1", "t-2", "t-3"]
    assert silver["t-2"]["base_amount_minor"] == 8_650
    assert silver["t-3"]["card_token"] == tokenise(CARD_NUMBER, TokenSettings().key_bytes()).card_token

    letters = line.letters()
    assert sorted(letter["reason"] for letter in letters) == sorted(
        [
            Reason.INVALID_AMOUNT, Reason.CARD_NUMBER_PRESENT, Reason.EVENT_TIME_IN_FUTURE,
            Reason.NOT_CONFLUENT_FRAMED, Reason.NOT_CONFLUENT_FRAMED, Reason.UNKNOWN_SCHEMA_ID, Reason.EMPTY_MESSAGE,
            Reason.UNKNOWN_FIELD, Reason.MALFORMED_JSON, Reason.EMPTY_MESSAGE,
        ]
    )  # fmt: skip
    poison = next(letter for letter in letters if letter["key"] == b"poison")
    assert (poison["value"], poison["redacted"]) == (b"\xde\xad\xbe\xef", False)
    for topic in (TRANSACTIONS_SILVER, DEAD_LETTERS):
        assert not any(CARD_NUMBER.encode() in part for part in line.raw_bytes(topic))

    # What it said on the way, and how it goes.
    metrics = line.get("/metrics").text
    assert 'cardwatch_messages_refused_total{reason="invalid_amount"} 1.0' in metrics
    assert 'cardwatch_latency_seconds_count{end="silver_published",start="raw_broker_time"} 3.0' in metrics
    assert line.stop() == 0
    assert CARD_NUMBER not in line.log.read_text()


def test_a_clean_stop_leaves_nothing_to_repeat(line: Line) -> None:
    line.start()
    for number in range(200):
        line.produce(transaction(number))
    line.flush()
    line.wait_until_drained()
    assert line.stop() == 0
    line.start()
    line.produce(transaction(200))
    line.flush()
    line.wait_until_drained()
    assert sorted(record["transaction_id"] for record in line.silver()) == sorted(f"t-{i}" for i in range(201))


def test_killed_in_the_middle_it_misses_nothing(line: Line) -> None:
    line.start()
    count = 4_000
    bad = set(range(0, count, 40))

    def produce() -> None:
        for number in range(count):
            line.produce(transaction(number, **({"country": "??"} if number in bad else {})))
            if number % 20 == 0:
                time.sleep(0.03)
        line.flush()

    producing = threading.Thread(target=produce)
    producing.start()
    for _ in range(2):
        time.sleep(2)
        line.kill()
        line.start()
    producing.join()
    line.wait_until_drained()

    silver = line.silver()
    assert {record["transaction_id"] for record in silver} == {f"t-{i}" for i in range(count) if i not in bad}
    letters = line.letters()
    assert len({letter["dead_letter_id"] for letter in letters}) == len(bad)
    assert {letter["reason"] for letter in letters} == {Reason.INVALID_COUNTRY}
    # A message that was processed twice gives the same record, at the same place of its origin.
    assert len({(record["raw_partition"], record["raw_offset"]) for record in silver}) == count - len(bad)


def test_it_outlasts_a_broker_that_does_not_answer(line: Line, platform: Any) -> None:
    line.start()
    for number in range(100):
        line.produce(transaction(number))
    line.flush()
    line.wait_until_drained()
    platform.pause_broker()
    try:
        for number in range(100, 200):
            line.produce(transaction(number))
        time.sleep(12)
    finally:
        platform.resume_broker()
    line.flush()
    line.wait_until_drained(120)
    assert line.alive
    assert {record["transaction_id"] for record in line.silver()} == {f"t-{i}" for i in range(200)}


def test_it_outlasts_a_broker_that_dies(line: Line, platform: Any) -> None:
    line.start()
    for number in range(100):
        line.produce(transaction(number))
    line.flush()
    platform.restart_broker(kill=True)
    for number in range(100, 200):
        line.produce(transaction(number))
    line.flush()
    line.wait_until_drained(120)
    assert line.alive
    assert {record["transaction_id"] for record in line.silver()} == {f"t-{i}" for i in range(200)}
