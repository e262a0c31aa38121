"""The velocity query as a process: late transactions, messages that are none, two scopes in one state."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import HEADER, Decoder, Encoder
from cardwatch_detector.warm_up import made_up_transaction
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.integration

RULES = """
rules:
  - id: dear
    title: Three dear payments within an hour
    scope: card
    measures:
      payments: {window: 1h, is: count(*)}
      mean_amount: {window: 1h, is: mean(base_amount_minor)}
    when: payments >= 3 and mean_amount > 1600
  - id: cards
    title: Two cards at one merchant within five minutes
    scope: merchant
    measures: {cards: {window: 5m, is: count(distinct card_token)}}
    when: cards >= 2
"""
MINUTE = 60_000_000
START = 1_795_478_400_000_000
NOBODYS_SCHEMA_ID = 900_000
WAIT_SECONDS = 180.0


class Detector:
    """A velocity process with topics of its own."""

    def __init__(self, platform: Any, prefix: str, directory: Path) -> None:
        self._platform = platform
        self._prefix = prefix
        self._log = directory / "detector.log"
        registry = ConfluentRegistry(platform.registry_url)
        self.schema_id = registry.id_of(TRANSACTIONS_SILVER.subject(prefix), "enriched_transaction")
        self.encode = Encoder("enriched_transaction", self.schema_id)
        self._decode = Decoder("alert", registry)
        self._producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "linger.ms": 0})
        rules = directory / "rules.yaml"
        rules.write_text(RULES)
        environment = {
            **os.environ,
            **platform.environment(),
            "CARDWATCH_TOPIC_PREFIX": prefix,
            "CARDWATCH_METRICS_PORT": "0",
            "CARDWATCH_LOG_FORMAT": "json",
            "CARDWATCH_DETECTOR_RULES": str(rules),
            "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(directory / "checkpoint"),
            "CARDWATCH_DETECTOR_HORIZON_CARD": "2h",
            "CARDWATCH_DETECTOR_LATENESS": "1h",
            "CARDWATCH_DETECTOR_WARM_UP": "false",
        }
        command = [str(Path(sys.executable).with_name("cardwatch-detector")), "velocity"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def send(self, *values: bytes) -> None:
        for value in values:
            self._producer.produce(TRANSACTIONS_SILVER.name(self._prefix), value, b"k")
        assert self._producer.flush(30) == 0

    def pay(self, number: int, minute: float, card: str, merchant: str = "m", amount: int = 2000) -> None:
        self.send(self.encode(transaction(number, round(minute * MINUTE), card, merchant, amount)))

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts so far, in the order of their partitions."""
        name = ALERTS.name(self._prefix)
        consumer = Consumer({"bootstrap.servers": self._platform.bootstrap_servers, "group.id": "all"})
        found: list[dict[str, Any]] = []
        try:
            for partition in range(3):
                end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)[1]
                consumer.assign([TopicPartition(name, partition, 0)])
                for _ in range(end):
                    (message,) = consumer.consume(1, timeout=30)
                    found.append(self._decode(message.value()))
        finally:
            consumer.close()
        return found

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert self.process.poll() is None, f"the detector ended: {self.log()}"
            assert time.monotonic() < deadline, f"no {what} within {WAIT_SECONDS:.0f} s: {self.log()}"
            time.sleep(0.3)

    def metric(self, name: str) -> float:
        port = self.log().split('"metrics_port": ', 1)[1].split(",", 1)[0].split("}", 1)[0]
        text = httpx.get(f"http://127.0.0.1:{int(port)}/metrics", timeout=5).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0, self.log()[-3000:]


@pytest.fixture
def detector(platform: Any, topic_prefix: str, tmp_path: Path) -> Iterator[Detector]:
    running = Detector(platform, topic_prefix, tmp_path)
    try:
        yield running
        running.stop()
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


@pytest.mark.timeout(400)
def test_late_transactions_and_messages_that_are_none(detector: Detector) -> None:
    # None of these may hold up what comes after them.
    good = detector.encode(transaction(0, 0, "a", "m", 1))
    detector.send(
        b"",
        b"{}",
        HEADER.pack(0, detector.schema_id) + b"\xff\xff",
        HEADER.pack(0, NOBODYS_SCHEMA_ID) + good[HEADER.size :],
    )
    for number, minute in ((1, 10), (2, 20), (3, 30)):
        detector.pay(number, minute, card="a", merchant=f"m{number}")
    detector.wait_for(lambda: states(detector) == [("dear", "t3", "raised")], "alert")
    assert f'"schema_id": {NOBODYS_SCHEMA_ID}' in detector.log(), "it is said that such messages are not evaluated"

    # Cheap and late: t3's window has it too, and its mean is not dear any more.
    detector.pay(4, 15, card="a", merchant="m4", amount=1)
    retracted = [("dear", "t3", "raised"), ("dear", "t3", "retracted")]
    detector.wait_for(lambda: states(detector) == retracted, "retraction")

    # The same again, and a second card at a merchant, which the other scope sees.
    detector.pay(4, 15, card="a", merchant="m4", amount=1)
    detector.pay(5, 33.5, card="b", merchant="m3")
    detector.wait_for(lambda: len(detector.alerts()) == 3, "alert of the merchant")
    alerts = {alert["rule_id"]: alert for alert in detector.alerts()}
    assert alerts["cards"]["transaction_id"] == "t5"
    assert (alerts["cards"]["key"], alerts["cards"]["merchant_id"], alerts["cards"]["card_token"]) == ("m3", "m3", "b")
    assert (alerts["dear"]["key"], alerts["dear"]["card_token"]) == ("a", "a"), "the key of a group is a field too"
    assert sorted(alerts["cards"]["evidence_transaction_ids"]) == ["t3", "t5"]
    assert alerts["cards"]["alert_id"] == alert_id("cards", 1, "t5")

    # A day later the state of that hour is given up: a transaction of then finds its groups gone, and is counted.
    assert detector.metric("cardwatch_spark_late_rows_total") == 0
    watermark = "cardwatch_spark_watermark_timestamp_seconds"
    numbers = itertools.count(100)

    def a_day_later() -> bool:
        # A micro-batch moves the watermark for the one after it.
        detector.pay(next(numbers), 24 * 60, card="z", merchant="z")
        return detector.metric(watermark) == START / 1e6 + 23 * 3600

    detector.wait_for(a_day_later, "watermark an hour behind the newest transaction")
    detector.pay(6, 16, card="a", merchant="m6")
    detector.wait_for(lambda: detector.metric("cardwatch_spark_late_rows_total") > 0, "late rows")
    assert not [alert for alert in detector.alerts() if alert["transaction_id"] == "t6"]


def states(detector: Detector) -> list[tuple[str, str, str]]:
    return [(alert["rule_id"], alert["transaction_id"], alert["status"]) for alert in detector.alerts()]


def transaction(number: int, after_start_us: int, card: str, merchant: str, amount: int) -> dict[str, Any]:
    return made_up_transaction(number, START + after_start_us) | {
        "transaction_id": f"t{number}",
        "card_token": card,
        "merchant_id": merchant,
        "amount_minor": amount,
        "base_amount_minor": amount,
    }
