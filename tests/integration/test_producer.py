"""The producer on the real broker and registry: every message arrives once, even if the broker pauses."""

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW, Topic
from cardwatch_contracts.wire import Decoder, Record
from cardwatch_enricher.bootstrap import build_pipeline
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.startup import Settings
from cardwatch_kafka.dead_letters import DeadLetter
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_producer.countries import countries
from cardwatch_producer.messages import SPOILT_HEADER
from cardwatch_reference.tables import read_exchange_rates
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.token_settings import TokenSettings
from confluent_kafka import Message
from support.kafka import read_end_offsets, read_messages
from support.platforms import Platform
from support.processes import installed_command, service_environment
from support.waiting import wait_until

pytestmark = pytest.mark.integration

COMMAND = installed_command("cardwatch-producer")


def start(platform: Platform, prefix: str, *arguments: str) -> subprocess.Popen[str]:
    environment = service_environment(platform, prefix)
    return subprocess.Popen([COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def run(platform: Platform, prefix: str, *arguments: str) -> dict[str, Any]:
    process = start(platform, prefix, *arguments)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    summary: dict[str, Any] = json.loads(out)
    return summary


def everything(platform: Platform, topic: Topic, prefix: str) -> list[Message]:
    return read_messages(platform.bootstrap_servers, topic.name(prefix))


@pytest.mark.faults
def test_the_counted_messages_are_in_the_topics(platform: Platform, topic_prefix: str) -> None:
    summary = run(
        platform, topic_prefix, "simulate", "--rate", "400", "--duration", "15s", "--fraud-fraction", "0.1",
        "--late-fraction", "0.1", "--duplicate-fraction", "0.1", "--invalid-fraction", "0.1", "--json-fraction", "0.3",
    )  # fmt: skip
    raw, legacy, labels = (
        everything(platform, topic, topic_prefix)
        for topic in (TRANSACTIONS_RAW, TRANSACTIONS_JSON, TRANSACTIONS_LABELS)
    )
    assert summary["by_topic"] == {
        TRANSACTIONS_RAW.name(topic_prefix): len(raw),
        TRANSACTIONS_JSON.name(topic_prefix): len(legacy),
        TRANSACTIONS_LABELS.name(topic_prefix): len(labels),
    }
    assert summary["produced"] == len(raw) + len(legacy) == 6_000 + summary["duplicates"]
    decode = Decoder(
        "transaction_label", ConfluentRegistry(platform.registry_url), TRANSACTIONS_LABELS.subject(topic_prefix)
    )
    known = [decode(label.value()) for label in labels]
    assert summary["labels"] == len(known)
    assert summary["invalid"] == sum(label["expected_refusal"] is not None for label in known) > 400
    fraud = [label for label in known if label["is_fraud"]]
    assert summary["fraud_transactions"] == len(fraud) > 100
    assert summary["fraud_episodes"] == len({label["scenario"] for label in fraud})


@pytest.mark.faults
def test_every_spoilt_message_is_refused_for_its_labels_reason_and_no_other_one_is(
    platform: Platform, topic_prefix: str
) -> None:
    run(
        platform, topic_prefix, "simulate", "--rate", "1000", "--duration", "4s",
        "--invalid-fraction", "0.5", "--json-fraction", "0.5",
    )  # fmt: skip
    registry = ConfluentRegistry(platform.registry_url)
    decode = Decoder("transaction_label", registry, TRANSACTIONS_LABELS.subject(topic_prefix))
    labels: list[Record] = [decode(m.value()) for m in everything(platform, TRANSACTIONS_LABELS, topic_prefix)]
    expected = {label["transaction_id"]: label["expected_refusal"] for label in labels if label["expected_refusal"]}
    pipeline = build_pipeline(
        Settings(ServiceSettings(topic_prefix=topic_prefix), EnricherSettings(), TokenSettings()), registry, Metrics()
    )
    refused: dict[str, str] = {}
    for topic in (TRANSACTIONS_RAW, TRANSACTIONS_JSON):
        for message in everything(platform, topic, topic_prefix):
            headers = dict(message.headers() or [])
            outcome = pipeline(
                ReceivedMessage(
                    topic=topic.name(topic_prefix),
                    partition=message.partition() or 0,
                    offset=message.offset() or 0,
                    key=message.key(),
                    value=message.value(),
                    broker_time=message.timestamp()[1] * 1_000,
                )
            )
            identity = headers.get(SPOILT_HEADER)
            assert isinstance(outcome, DeadLetter) == (identity is not None)
            if isinstance(outcome, DeadLetter) and isinstance(identity, bytes):
                refused[identity.decode()] = str(outcome.reason)
    assert refused == expected
    # Labels of alerts are refused by the lakehouse.
    assert set(refused.values()) == set(Reason) - {Reason.INTERNAL_ERROR, Reason.UNKNOWN_LABEL}


@pytest.mark.faults
def test_a_broker_that_pauses_loses_nothing_and_repeats_nothing(platform: Platform, topic_prefix: str) -> None:
    # A queue so small that it fills while the broker pauses: the producer then has to wait.
    small_queue = service_environment(platform, topic_prefix, CARDWATCH_PRODUCER_QUEUE_MESSAGES="500")
    process = subprocess.Popen(
        [COMMAND, "simulate", "--rate", "500", "--duration", "12s"],
        env=small_queue,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_messages(platform, topic_prefix, 500)
        platform.pause_broker()
        time.sleep(5)
    finally:
        platform.resume_broker()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    decode = Decoder("transaction", ConfluentRegistry(platform.registry_url), TRANSACTIONS_RAW.subject(topic_prefix))
    times = Counter(decode(m.value())["transaction_id"] for m in everything(platform, TRANSACTIONS_RAW, topic_prefix))
    assert len(times) == json.loads(out)["produced"] == 6_000
    assert set(times.values()) == {1}


@pytest.mark.faults
def test_a_stop_while_the_broker_pauses_waits_for_it_and_reports_what_arrived(
    platform: Platform, topic_prefix: str
) -> None:
    process = start(platform, topic_prefix, "simulate", "--rate", "200", "--duration", "0")
    try:
        wait_for_messages(platform, topic_prefix, 200)
        platform.pause_broker()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        time.sleep(2)
        assert process.poll() is None, "it ended with messages outstanding"
    finally:
        platform.resume_broker()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["produced"] == len(everything(platform, TRANSACTIONS_RAW, topic_prefix)) > 200


def test_replay_sends_a_file_once_and_its_fraud_labels(platform: Platform, topic_prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "transactions.csv"
    rows = [f"{i},2026-01-31 12:00:{i % 60:02d},{i % 50},{i},{i % 7},{int(i % 10 == 0)},1" for i in range(5_000)]
    header = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TX_AMOUNT_CENTS,TERMINAL_ID,TX_FRAUD,TX_FRAUD_SCENARIO"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    mapping = Path(__file__).parents[2] / "config" / "mappings" / "handbook.yaml"
    summary = run(platform, topic_prefix, "replay", str(file), "--mapping", str(mapping), "--speed", "max")
    assert (summary["produced"], summary["labels"], summary["fraud_transactions"]) == (5_000, 500, 500)
    decode = Decoder("transaction", ConfluentRegistry(platform.registry_url), TRANSACTIONS_RAW.subject(topic_prefix))
    records = [decode(message.value()) for message in everything(platform, TRANSACTIONS_RAW, topic_prefix)]
    assert sorted(int(record["transaction_id"]) for record in records) == list(range(5_000))
    assert sum(record["amount_minor"] for record in records) == sum(range(5_000))


def test_missing_topics_are_one_sentence(platform: Platform) -> None:
    done = subprocess.run(
        [COMMAND, "simulate"],
        env=service_environment(platform, "nobody-made-these-"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no topic nobody-made-these-transactions.raw.v1" in done.stderr
    assert "cardwatch schemas apply" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_simulators_exchange_rates_are_close_to_the_enrichers() -> None:
    rates = read_exchange_rates("EUR").rates
    for country in countries():
        rate = rates[country.currency]
        assert rate.exponent == country.exponent
        # Amounts of fraud keep more distance than that from the bounds of the rules that find it.
        assert rate.rate_e8 / 10**8 * country.units_per_eur == pytest.approx(1.0, rel=0.1)


def wait_for_messages(platform: Platform, prefix: str, count: int) -> None:
    name = TRANSACTIONS_RAW.name(prefix)
    servers = platform.bootstrap_servers
    wait_until(lambda: sum(read_end_offsets(servers, name).values()) >= count, f"{count} messages in {name}")
