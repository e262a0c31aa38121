"""Fixtures of the detector's integration tests: a detector as a process, with its own topics."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.topics import ALERTS, CARD_PROFILES, TRANSACTIONS_SILVER
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment
from support.records import EVENT_TIME_US, MINUTE_US, card_profile_record, enriched_record
from support.spark_settings import QUICK

WAIT_SECONDS = 180.0
STOP_SECONDS = 60.0


class Detector(ServiceProcess):
    """A velocity process on its own topics.

    Attributes:
        topics: where it reads and publishes.
        sent: number of messages sent to it so far.
    """

    start_us = EVENT_TIME_US

    def __init__(self, platform: Platform, prefix: str, directory: Path, settings: dict[str, str]) -> None:
        checkpoint = {"CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(directory / "checkpoint")}
        super().__init__(
            [installed_command("cardwatch-detector"), "velocity"],
            service_environment(platform, prefix, **QUICK, **checkpoint, **settings),
            directory / "detector.log",
            wait_seconds=WAIT_SECONDS,
        )
        self.topics = KafkaTopics(platform, prefix)
        self.sent = 0

    def send(self, *values: bytes) -> None:
        """Send messages to the silver topic; the broker has them afterwards."""
        for value in values:
            self.topics.send(TRANSACTIONS_SILVER, value, b"k")
            self.sent += 1
        self.topics.flush()

    def encode_payment(self, number: int, minute: float, card: str, **fields: Any) -> bytes:
        """The silver message of transaction ``t<number>``, ``minute`` minutes after ``start_us``; 20 euros unless
        ``amount`` says otherwise, in cents."""
        amount = fields.pop("amount", 2000)
        record = enriched_record(
            transaction_id=f"t{number}",
            event_time=EVENT_TIME_US + round(minute * MINUTE_US),
            card_token=card,
            merchant_id=fields.pop("merchant", "m"),
            amount_minor=amount,
            **fields,
        )
        return self.topics.encode(TRANSACTIONS_SILVER, record)

    def pay(self, number: int, minute: float, card: str, **fields: Any) -> None:
        """Send such a message."""
        self.send(self.encode_payment(number, minute, card, **fields))

    def send_profile(self, card: str, mean: float) -> None:
        """Send a card's profile for the first day."""
        profile = card_profile_record(card, mean)
        self.topics.send(CARD_PROFILES, self.topics.encode(CARD_PROFILES, profile), b"k")
        self.sent += 1
        self.topics.flush()

    def alerts(self) -> list[dict[str, Any]]:
        """All alerts so far, in the order of their partitions."""
        return self.topics.records(ALERTS)


@contextmanager
def detectors(platform: Platform, prefix: str, directory: Path) -> Iterator[Callable[..., Detector]]:
    """Starts detectors with given settings; they are stopped, and have to stop cleanly, in the end."""
    with ExitStack() as stack:
        started: list[Detector] = []

        def start(**settings: str) -> Detector:
            detector = Detector(platform, prefix, directory, settings)
            stack.callback(detector.kill)
            detector.start()
            started.append(detector)
            return detector

        yield start
        for detector in started:
            if detector.is_running:
                detector.stop(STOP_SECONDS)


@pytest.fixture
def start_detector(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Detector]]:
    """Starts the test's own detector."""
    with detectors(platform, topic_prefix, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_detector(
    platform: Platform, new_topic_prefix: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Detector]]:
    """Starts a detector for all tests of a module, because a start takes as long as most of the tests."""
    with detectors(platform, new_topic_prefix(), tmp_path_factory.mktemp("detector")) as start:
        yield start
