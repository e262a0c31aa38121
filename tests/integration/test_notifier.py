"""The notifier as a process, on the real broker and registry."""

import base64
import os
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from cardwatch_cli.webhook.receiver import WebhookReceiver
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS
from cardwatch_contracts.wire import Record
from cardwatch_service.metrics import CONSUMER_LAG, CONSUMER_POSITION
from confluent_kafka import Producer
from support.kafka import TIMEOUT_SECONDS, KafkaTopics
from support.platforms import Platform
from support.postgres_server import PostgresServer, server_or_skip
from support.processes import ServiceProcess, installed_command, service_environment
from support.records import alert_record, enriched_record

pytestmark = pytest.mark.integration

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()


class Notifier(ServiceProcess):
    """Notifiers started one after another on topics and an outbox of their own.

    Args:
        topics: where it reads; several notifiers may share them.
        directory: for its outbox and its log.
        settings: in the environment, in addition to those of the platform and the webhook's.
    """

    def __init__(
        self,
        platform: Platform,
        topics: KafkaTopics,
        directory: Path,
        webhook_url: str,
        **settings: str,
    ) -> None:
        directory.mkdir(exist_ok=True)
        environment = service_environment(
            platform,
            topics.prefix,
            CARDWATCH_NOTIFIER_OUTBOX_PATH=str(directory / "outbox.db"),
            CARDWATCH_NOTIFIER_WEBHOOK_URL=webhook_url,
            CARDWATCH_NOTIFIER_WEBHOOK_SECRET=SECRET,
            CARDWATCH_NOTIFIER_RETRY_FIRST_SECONDS="0.2",
            **settings,
        )
        super().__init__(
            [installed_command("cardwatch-notifier"), "run"],
            environment,
            directory / "notifier.log",
            output_path=directory / "stdout.txt",
            working_directory=directory,
        )
        self.topics = topics

    def send(self, alert: Record | bytes) -> None:
        """Send an alert, or other bytes, to the alerts topic; the broker has it afterwards."""
        if isinstance(alert, bytes):
            self.topics.send(ALERTS, alert, b"")
        else:
            self.topics.send(ALERTS, self.topics.encode(ALERTS, alert), alert["key"].encode())
        self.topics.flush()

    def dead_letters(self) -> list[Record]:
        """All dead letters that it has published."""
        return self.topics.records(DEAD_LETTERS)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as running:
        yield running


@pytest.fixture
def topics(platform: Platform, topic_prefix: str) -> KafkaTopics:
    return KafkaTopics(platform, topic_prefix)


@pytest.fixture
def notifier(platform: Platform, topics: KafkaTopics, tmp_path: Path, receiver: WebhookReceiver) -> Iterator[Notifier]:
    notifier = Notifier(platform, topics, tmp_path, receiver.url)
    yield notifier
    notifier.kill()


def alert(name: str, status: str = "raised", mode: str = "live") -> Record:
    """The alert for the transaction ``t-<name>``, which was made and detected just now."""
    now = time.time_ns() // 1000
    transaction = enriched_record(transaction_id=f"t-{name}", event_time=now)
    return alert_record(
        transaction, alert_id=identity(name), status=status, mode=mode, key=f"token-of-{name}", detected_at=now
    )


def identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


@pytest.mark.faults
def test_killed_in_mid_delivery_each_alert_arrives_once_by_its_id(
    notifier: Notifier, receiver: WebhookReceiver
) -> None:
    names = [f"n{number}" for number in range(150)]
    expected = {identity(name) for name in names}
    receiver.delay_seconds = 0.02  # so that some are always under way
    notifier.start()
    for name in names[:100]:
        notifier.send(alert(name))
    for goal in (20, 60):
        notifier.wait_for(lambda goal=goal: len(receiver.unique_ids()) >= goal, "deliveries")  # type: ignore[misc]
        notifier.kill()
        assert len(receiver.unique_ids()) < len(names), "it was killed too late to prove anything"
        notifier.start()
    for name in names[100:]:
        notifier.send(alert(name))
    # Upstream delivers at least once: the same alerts again, at other offsets; and two of them are retracted.
    for name in names[:20]:
        notifier.send(alert(name))
    for name in names[:2]:
        notifier.send(alert(name, "retracted"))
        expected.add(f"{identity(name)}-2")
    notifier.wait_for(lambda: receiver.unique_ids() >= expected, "all deliveries")
    notifier.wait_for(lambda: notifier.metric("cardwatch_notifier_outbox_messages") == 0, "empty outbox")
    notifier.stop()
    assert receiver.unique_ids() == expected
    assert receiver.bad_signatures == 0
    bodies: dict[str, Any] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.webhook_id, request.body) == request.body
    lines = notifier.output_path.read_text().splitlines()
    assert {text.rsplit("alert ", 1)[1] for text in lines} == {identity(name) for name in names}
    assert sum("RETRACTED" in text for text in set(lines)) == 2


def test_alerts_dead_letters_and_a_clean_restart(notifier: Notifier, receiver: WebhookReceiver) -> None:
    notifier.start()
    notifier.wait_for(notifier.is_ready, "readiness")

    # An alert reaches an idle receiver at once.
    for number in range(20):
        notifier.send(alert(f"quick{number}"))
        notifier.wait_for(lambda number=number: identity(f"quick{number}") in receiver.unique_ids(), "delivery")  # type: ignore[misc]
    assert median(map(latency_seconds, receiver.accepted)) < 0.25

    # A message that is not an alert becomes a dead letter, and those behind it are delivered.
    notifier.send(b"no alert at all")
    notifier.send(alert("shadow", mode="shadow"))
    receiver.fail_next(2, 503)
    notifier.send(alert("stubborn"))
    notifier.wait_for(lambda: identity("stubborn") in receiver.unique_ids(), "delivery")
    attempts = [request for request in receiver.requests if request.webhook_id == identity("stubborn")]
    assert [request.status for request in attempts] == [503, 503, 204]
    assert identity("shadow") not in {request.webhook_id for request in receiver.requests}

    notifier.wait_for(lambda: notifier.metric(CONSUMER_POSITION) == 23, "end of the topic")
    (letter,) = notifier.dead_letters()
    assert (letter["reason"], letter["value"], letter["service"]) == (
        Reason.NOT_CONFLUENT_FRAMED, b"no alert at all", "notifier",
    )  # fmt: skip
    assert notifier.metric("cardwatch_messages_refused_total", reason=Reason.NOT_CONFLUENT_FRAMED) == 1
    assert notifier.metric("cardwatch_notifier_deliveries_total", receiver="webhook", outcome="delivered") == 21
    assert notifier.metric("cardwatch_latency_seconds_count", start="raw_broker_time", end="delivered") == 21

    # After a clean stop nothing is delivered again by the next start.
    requests = len(receiver.requests)
    notifier.stop()
    notifier.start()
    notifier.wait_for(notifier.is_ready, "readiness")
    notifier.send(alert("last"))
    notifier.wait_for(lambda: identity("last") in receiver.unique_ids(), "delivery")
    assert len(receiver.requests) == requests + 1


def send_in_transaction(platform: Platform, topics: KafkaTopics, *alerts: Record, commit: bool) -> None:
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "transactional.id": f"test-{uuid.uuid4()}"})
    producer.init_transactions(TIMEOUT_SECONDS)
    producer.begin_transaction()
    for one in alerts:
        producer.produce(ALERTS.name(topics.prefix), topics.encode(ALERTS, one), b"one partition")
    producer.flush(TIMEOUT_SECONDS)
    if commit:
        producer.commit_transaction(TIMEOUT_SECONDS)
    else:
        producer.abort_transaction(TIMEOUT_SECONDS)


@pytest.mark.faults
def test_offsets_without_a_message_are_skipped(
    platform: Platform, topics: KafkaTopics, notifier: Notifier, receiver: WebhookReceiver
) -> None:
    """Aborted alerts are not delivered, and neither they nor the markers count as lost alerts."""
    expected: set[str] = set()

    def send_committed(name: str) -> None:
        send_in_transaction(platform, topics, alert(name), alert(f"{name}-other"), commit=True)
        expected.update((identity(name), identity(f"{name}-other")))

    def send_aborted(number: int) -> None:
        aborted = [alert(f"aborted-{number}-{place}") for place in range(100)]
        send_in_transaction(platform, topics, *aborted, commit=False)

    notifier.start()
    notifier.wait_for(notifier.is_ready, "readiness")
    for number in range(3):
        send_committed(f"a{number}")
        send_aborted(number)
        notifier.wait_for(lambda: receiver.unique_ids() >= expected, "deliveries")
    notifier.wait_for(lambda: notifier.metric(CONSUMER_LAG) == 0, "end of the topic")
    assert notifier.metric("cardwatch_errors_total", kind="outbox_behind") == 0
    for end in (notifier.stop, notifier.kill):  # the outbox's offset is that of a marker
        notifier.wait_for(lambda: notifier.metric("cardwatch_notifier_outbox_messages") == 0, "empty outbox")
        end()
        notifier.start()
        send_committed(f"after-{end.__name__}")
        notifier.wait_for(lambda: receiver.unique_ids() >= expected, "deliveries")
        assert notifier.metric("cardwatch_errors_total", kind="outbox_behind") == 0
    notifier.stop()
    assert receiver.unique_ids() == expected
    assert len(receiver.accepted) == len(expected)
    assert "reading again from its offsets" not in notifier.log()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with server_or_skip() as server:
        yield server


@pytest.mark.faults
def test_replicas_on_one_database_survive_a_kill_and_a_database_outage(
    platform: Platform, topics: KafkaTopics, tmp_path: Path, receiver: WebhookReceiver, postgres: PostgresServer
) -> None:
    """One of two notifiers is killed while it delivers messages, and the database with it."""
    database = postgres.new_database()
    settings = {
        "CARDWATCH_NOTIFIER_OUTBOX_URL": postgres.url(database),
        "CARDWATCH_NOTIFIER_OUTBOX_LEASE_SECONDS": "4",
        "CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS": "2",
        "CARDWATCH_NOTIFIER_STDOUT": "false",
    }
    survivor = Notifier(platform, topics, tmp_path / "survivor", receiver.url, **settings)
    victim = Notifier(platform, topics, tmp_path / "victim", receiver.url, **settings)
    survivor.run_command("outbox", "migrate")
    try:
        for notifier in (survivor, victim):
            notifier.start()
        for notifier in (survivor, victim):
            notifier.wait_for(notifier.is_ready, "readiness")
        receiver.delay_seconds = 0.2
        names = [f"n{number}" for number in range(130)]
        expected = {identity(name) for name in names}
        for name in names[:100]:
            survivor.send(alert(name))
        read_to_the_end = "SELECT sum(next_offset) FROM positions"
        survivor.wait_for(lambda: postgres.execute(read_to_the_end, database) == [(100,)], "end of the topic")
        victim.wait_for(
            lambda: victim.metric("cardwatch_notifier_deliveries_total", outcome="delivered") > 0, "delivery"
        )
        victim.kill()
        postgres.kill()
        assert len(receiver.unique_ids()) < 100, "it was killed too late to prove anything"

        # The killed notifier's partitions go to the survivor, which waits until the outbox answers with their offsets.
        survivor.wait_for(lambda: "not reading yet" in survivor.log(), "wait for the outbox")
        for name in names[100:]:
            survivor.send(alert(name))
        for name in names[:2]:
            survivor.send(alert(name))
            survivor.send(alert(name, "retracted"))
            expected.add(f"{identity(name)}-2")
        assert not survivor.is_ready()
        assert survivor.metric("cardwatch_notifier_outbox_available") == 0
        postgres.start()
        receiver.delay_seconds = 0.0
        survivor.wait_for(lambda: receiver.unique_ids() >= expected, "all deliveries")
        survivor.wait_for(lambda: survivor.metric("cardwatch_notifier_outbox_messages") == 0, "empty outbox")
        survivor.wait_for(survivor.is_ready, "readiness")
        assert survivor.metric("cardwatch_notifier_deliveries_total", outcome="delivered") > 0
        survivor.stop()
    finally:
        survivor.kill()
        victim.kill()
    assert receiver.unique_ids() == expected
    order = [request.webhook_id for request in receiver.accepted]
    for name in names[:2]:
        assert order.index(identity(name)) < order.index(f"{identity(name)}-2")
    # Repeated with the same ids: at most the deliveries that both notifiers had begun.
    assert len(order) - len(expected) <= 2 * 64


def latency_seconds(request: Any) -> float:
    published = datetime.fromisoformat(request.body["data"]["detected_at"]).timestamp()
    return float(request.received_at / 1e6 - published)
