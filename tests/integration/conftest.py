"""What the integration tests of the detector share: a detector as a process, with topics of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, CARD_PROFILES, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_detector.velocity.warm_up import made_up_transaction
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families
from support.spark_settings import QUICK
from support.topics import messages

MINUTE = 60_000_000
START = 1_795_478_400_000_000
WAIT_SECONDS = 180.0


class Detector:
    """A velocity process with topics of its own.

    Attributes:
        sent: messages to it so far.
    """

    def __init__(self, platform: Any, prefix: str, directory: Path, environment: Mapping[str, str]) -> None:
        self._platform = platform
        self.prefix = prefix
        self.sent = 0
        self._log = directory / "detector.log"
        registry = ConfluentRegistry(platform.registry_url)
        self.schema_id = registry.id_of(TRANSACTIONS_SILVER.subject(prefix), "enriched_transaction")
        self.encode = Encoder("enriched_transaction", self.schema_id)
        self._encode_profile = Encoder("card_profile", registry.id_of(CARD_PROFILES.subject(prefix), "card_profile"))
        self._decode = Decoder("alert", registry)
        self._producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "linger.ms": 0})
        everything = {
            **os.environ,
            **platform.environment(),
            **QUICK,
            "CARDWATCH_TOPIC_PREFIX": prefix,
            "CARDWATCH_METRICS_PORT": "0",
            "CARDWATCH_LOG_FORMAT": "json",
            "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(directory / "checkpoint"),
            **environment,
        }
        command = [str(Path(sys.executable).with_name("cardwatch-detector")), "velocity"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=everything, stdout=log, stderr=log, start_new_session=True)

    def send(self, *values: bytes) -> None:
        for value in values:
            self._producer.produce(TRANSACTIONS_SILVER.name(self.prefix), value, b"k")
            self.sent += 1
        assert self._producer.flush(30) == 0

    start_us = START

    def made_up(self, number: int, minute: float, card: str, **fields: Any) -> bytes:
        """The silver message of transaction ``t<number>``, made ``minute`` minutes after ``start_us``."""
        return self.encode(transaction(number, minute, card, **fields))

    def pay(self, number: int, minute: float, card: str, **fields: Any) -> None:
        """Send it."""
        self.send(self.made_up(number, minute, card, **fields))

    def send_profile(self, card: str, mean: float) -> None:
        """Send a card's profile for the first day."""
        record = {
            "card_token": card,
            "valid_on": START,
            "transactions_30d": 30,
            "mean_amount_minor_30d": mean,
            "stddev_amount_minor_30d": 1.5,
            "transactions_90d": 90,
            "mean_amount_minor_90d": mean,
            "stddev_amount_minor_90d": None,
            "max_amount_minor_90d": 5000,
            "active_days_90d": 20,
            "countries_90d": ["AT", "DE"],
            "hours_90d": [9, 10, 12],
        }
        self._producer.produce(CARD_PROFILES.name(self.prefix), self._encode_profile(record), b"k")
        self.sent += 1
        assert self._producer.flush(30) == 0

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts so far, in the order of their partitions."""
        return [self._decode(message.value()) for message in self.messages(ALERTS)]

    def messages(self, topic: Topic) -> list[Any]:
        """All messages of a topic so far, in the order of its partitions."""
        return messages(self._platform.bootstrap_servers, topic.name(self.prefix))

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert self.process.poll() is None, f"the detector ended: {self.log()}"
            assert time.monotonic() < deadline, f"no {what} within {WAIT_SECONDS:.0f} s: {self.log()}"
            time.sleep(0.3)

    def metric(self, name: str, **labels: str) -> float:
        port = self.log().split('"metrics_port": ', 1)[1].split(",", 1)[0].split("}", 1)[0]
        text = httpx.get(f"http://127.0.0.1:{int(port)}/metrics", timeout=5).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0, self.log()[-3000:]

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def detectors(platform: Any, prefix: str, directory: Path) -> Iterator[Callable[..., Detector]]:
    """Starts detectors with given settings; they are stopped, and have to stop cleanly, in the end."""
    with ExitStack() as stack:
        started: list[Detector] = []

        def start(**environment: str) -> Detector:
            running = Detector(platform, prefix, directory, environment)
            stack.callback(running.kill)
            started.append(running)
            return running

        yield start
        for running in started:
            running.stop()


@pytest.fixture
def start_detector(platform: Any, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Detector]]:
    """Starts a detector of the test's own."""
    with detectors(platform, topic_prefix, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_detector(
    platform: Any, new_topic_prefix: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Detector]]:
    """Starts a detector for all tests of a module: to start takes it as long as most of what it is tested with."""
    with detectors(platform, new_topic_prefix(), tmp_path_factory.mktemp("detector")) as start:
        yield start


def transaction(number: int, minute: float, card: str, **fields: Any) -> dict[str, Any]:
    at = START + round(minute * MINUTE)
    amount = fields.pop("amount", 2000)
    made_up = made_up_transaction(number, at) | {"amount_minor": amount, "base_amount_minor": amount}
    merchant = fields.pop("merchant", "m")
    return made_up | {"transaction_id": f"t{number}", "card_token": card, "merchant_id": merchant} | fields
