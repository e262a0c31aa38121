"""The enricher as a process, on the real broker and registry."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Record
from cardwatch_service.token_settings import TokenSettings
from support.hostile_messages import hostile_avro_messages, hostile_json_messages
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment
from support.records import CARD_NUMBER, transaction_document, transaction_record
from support.unreadable_headers import send_with_unreadable_header

pytestmark = pytest.mark.integration


class Enricher(ServiceProcess):
    """Enrichers started one after another on the test's own topics.

    Attributes:
        topics: where it reads and publishes.
    """

    def __init__(self, platform: Platform, prefix: str, directory: Path) -> None:
        super().__init__(
            [installed_command("cardwatch-enricher")],
            service_environment(platform, prefix, CARDWATCH_ENRICHER_INSTANCE_ID="enricher-0"),
            directory / "enricher.log",
        )
        self.topics = KafkaTopics(
            platform, prefix, enable_idempotence=True, message_max_bytes=2_000_000, partitioner="murmur2_random"
        )

    def start(self) -> None:
        """Start an enricher and wait until it has joined its group."""
        super().start()
        self.wait_for(self.is_ready, "readiness")

    def wait_until_drained(self, seconds: float = 60) -> None:
        """Wait until it has processed everything that was sent so far."""
        ends = self.topics.end_offsets(TRANSACTIONS_RAW, TRANSACTIONS_JSON)
        self.wait_for(lambda: self.positions() == ends, "end of what it reads", seconds)

    def send(self, record: Record) -> None:
        """Send a transaction to the raw topic."""
        self.topics.send(TRANSACTIONS_RAW, self.topics.encode(TRANSACTIONS_RAW, record), record["card_token"].encode())

    def send_all(self, numbers: Iterable[int]) -> None:
        """Send the transactions of these numbers to the raw topic; the broker has them afterwards."""
        for number in numbers:
            self.send(transaction(number))
        self.topics.flush()

    def silver(self) -> list[Record]:
        """All transactions that it has published."""
        return self.topics.records(TRANSACTIONS_SILVER)

    def dead_letters(self) -> list[Record]:
        """All dead letters that it has published."""
        return self.topics.records(DEAD_LETTERS)

    def published_bytes(self, topic: Topic) -> list[bytes]:
        """Keys and values of everything in a topic."""
        return [part for message in self.topics.messages(topic) for part in (message.key(), message.value()) if part]


def transaction(number: int, **changes: Any) -> Record:
    """Transaction ``t-<number>``, of one of 50 cards, now."""
    return transaction_record(
        **{
            "transaction_id": f"t-{number}",
            "event_time": time.time_ns() // 1000,
            "card_token": f"{number % 50:032x}",
            "amount_minor": 100 + number,
            **changes,
        }
    )


def json_transaction(number: int, **changes: Any) -> bytes:
    """The same as legacy producers send it."""
    known = {"transaction_id": f"t-{number}", "event_time": time.time_ns() // 1000, "amount_minor": 100 + number}
    return json.dumps(transaction_document(**known, **changes)).encode()


@pytest.fixture
def enricher(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[Enricher]:
    enricher = Enricher(platform, topic_prefix, tmp_path)
    yield enricher
    enricher.kill()


def test_valid_and_invalid_messages_of_every_kind(enricher: Enricher) -> None:
    enricher.start()
    enricher.send(transaction(1))
    enricher.send(transaction(2, currency="USD", amount_minor=10_000))
    enricher.topics.send(TRANSACTIONS_JSON, json_transaction(3))
    enricher.send(transaction(4, amount_minor=-1))
    enricher.send(transaction(5, device_id=f"card {CARD_NUMBER}"))
    enricher.send(transaction(6, event_time=time.time_ns() // 1000 + 3_600_000_000))
    enricher.topics.send(TRANSACTIONS_RAW, b"\xde\xad\xbe\xef", b"poison")
    enricher.topics.send(TRANSACTIONS_RAW, b"\x00\x7f\xff\xff\xff" + b"garbage")
    enricher.topics.send(TRANSACTIONS_RAW, None, b"tombstone")
    enricher.topics.send(TRANSACTIONS_RAW, b"x" * 1_040_000, b"large")
    enricher.topics.send(TRANSACTIONS_JSON, json_transaction(7, colour="red"))
    enricher.topics.send(TRANSACTIONS_JSON, b'{"card_number": "4111111111111111"')
    enricher.topics.send(TRANSACTIONS_JSON, None)
    enricher.topics.flush()
    enricher.wait_until_drained()

    silver = {record["transaction_id"]: record for record in enricher.silver()}
    assert sorted(silver) == ["t-1", "t-2", "t-3"]
    assert silver["t-2"]["base_amount_minor"] == 8_650
    assert silver["t-3"]["card_token"] == tokenise(CARD_NUMBER, TokenSettings().key_bytes()).card_token

    letters = enricher.dead_letters()
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
        assert not any(CARD_NUMBER.encode() in part for part in enricher.published_bytes(topic))

    # Its log and metrics, and a clean stop.
    metrics = enricher.get("/metrics").text
    assert 'cardwatch_messages_refused_total{reason="invalid_amount"} 1.0' in metrics
    assert 'cardwatch_latency_seconds_count{end="silver_published",start="raw_broker_time"} 3.0' in metrics
    enricher.stop()
    assert CARD_NUMBER not in enricher.log()


@pytest.mark.faults
def test_no_message_stops_it(enricher: Enricher, platform: Platform) -> None:
    enricher.start()
    now = time.time_ns() // 1000
    hostile = (
        (TRANSACTIONS_RAW, hostile_avro_messages(partial(enricher.topics.encode, TRANSACTIONS_RAW), now)),
        (TRANSACTIONS_JSON, hostile_json_messages(now)),
    )
    for topic, messages in hostile:
        for message in messages:
            enricher.topics.send(topic, message.value, message.key, message.headers)
    enricher.topics.flush()
    send_with_unreadable_header(
        platform.bootstrap_servers, TRANSACTIONS_JSON.name(enricher.topics.prefix), json_transaction(1), b"{"
    )
    enricher.send(transaction(2))
    enricher.topics.flush()
    enricher.wait_until_drained(180)

    # Each message ends in exactly one place, and those behind it are not held up.
    expected = Counter(message.expected for _, messages in hostile for message in messages)
    expected += Counter({None: 2, Reason.MALFORMED_JSON: 1})
    letters, silver = enricher.dead_letters(), enricher.silver()
    assert Counter(letter["reason"] for letter in letters) + Counter({None: len(silver)}) == expected
    assert len({letter["dead_letter_id"] for letter in letters}) == len(letters)
    assert {header["name"] for letter in letters for header in letter["headers"]} >= {r"n\xff\xfee"}
    assert "t-2" in {record["transaction_id"] for record in silver}
    for topic in (TRANSACTIONS_SILVER, DEAD_LETTERS):
        assert not any(CARD_NUMBER.encode() in part for part in enricher.published_bytes(topic))
    enricher.stop()
    assert CARD_NUMBER not in enricher.log()


@pytest.mark.faults
def test_a_clean_stop_leaves_nothing_to_repeat(enricher: Enricher) -> None:
    enricher.start()
    enricher.send_all(range(200))
    enricher.wait_until_drained()
    enricher.stop()
    enricher.start()
    enricher.send_all([200])
    enricher.wait_until_drained()
    assert sorted(record["transaction_id"] for record in enricher.silver()) == sorted(f"t-{i}" for i in range(201))


@pytest.mark.faults
def test_a_killed_enricher_misses_nothing(enricher: Enricher) -> None:
    enricher.start()
    count = 4_000
    bad = set(range(0, count, 40))

    def produce() -> None:
        for number in range(count):
            enricher.send(transaction(number, **({"country": "??"} if number in bad else {})))
            if number % 20 == 0:
                time.sleep(0.03)
        enricher.topics.flush()

    producing = threading.Thread(target=produce)
    producing.start()
    for _ in range(2):
        time.sleep(2)
        enricher.kill()
        enricher.start()
    producing.join()
    enricher.wait_until_drained()

    silver = enricher.silver()
    assert {record["transaction_id"] for record in silver} == {f"t-{i}" for i in range(count) if i not in bad}
    letters = enricher.dead_letters()
    assert len({letter["dead_letter_id"] for letter in letters}) == len(bad)
    assert {letter["reason"] for letter in letters} == {Reason.INVALID_COUNTRY}
    # A message that was processed twice gives the same record, with the same source position.
    assert len({(record["raw_partition"], record["raw_offset"]) for record in silver}) == count - len(bad)


@pytest.mark.faults
def test_it_survives_a_broker_that_does_not_answer(enricher: Enricher, platform: Platform) -> None:
    enricher.start()
    enricher.send_all(range(100))
    enricher.wait_until_drained()
    platform.pause_broker()
    try:
        for number in range(100, 200):
            enricher.send(transaction(number))
        time.sleep(12)
    finally:
        platform.resume_broker()
    enricher.topics.flush()
    enricher.wait_until_drained(120)
    assert enricher.is_running
    assert {record["transaction_id"] for record in enricher.silver()} == {f"t-{i}" for i in range(200)}


@pytest.mark.faults
def test_it_survives_a_broker_that_dies(enricher: Enricher, platform: Platform) -> None:
    enricher.start()
    enricher.send_all(range(100))
    platform.restart_broker(kill=True)
    enricher.send_all(range(100, 200))
    enricher.wait_until_drained(120)
    assert enricher.is_running
    assert {record["transaction_id"] for record in enricher.silver()} == {f"t-{i}" for i in range(200)}
