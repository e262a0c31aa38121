"""The one place where the notifier's parts are put together."""

import base64
import binascii
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_contracts.topics import ALERTS, DEAD_LETTERS
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get as get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.tracing import tracing
from cardwatch_units.timestamps import now_microseconds
from confluent_kafka import Producer
from filelock import FileLock, Timeout

from cardwatch_notifier.delivery.courier import Courier
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Receiver
from cardwatch_notifier.delivery.retry import RetrySchedule
from cardwatch_notifier.delivery.standard_output import StandardOutput
from cardwatch_notifier.delivery.traced import TracedReceiver
from cardwatch_notifier.delivery.webhook import WebhookReceiver
from cardwatch_notifier.intake.dead_letters import KafkaDeadLetters
from cardwatch_notifier.intake.intake import Intake
from cardwatch_notifier.intake.kafka_source import KafkaSource, topic_identity
from cardwatch_notifier.metrics import NotifierMetrics, OutboxCollector
from cardwatch_notifier.outbox.housekeeping import Housekeeping
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.outbox.sqlite_outbox import SqliteOutbox
from cardwatch_notifier.patience import patiently
from cardwatch_notifier.settings import NotifierSettings

if TYPE_CHECKING:
    from cardwatch_notifier.outbox.postgres.database import Database

log = get_logger(__name__)

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks prescribes
_DEAD_LETTER_TIMEOUT_SECONDS: Final = 30.0


def run(service: ServiceSettings, own: NotifierSettings, shutdown: Shutdown) -> None:
    """Run the notifier until the stop is asked for.

    Raises:
        CardwatchError: it cannot start, or cannot go on.
    """
    receivers = make_receivers(own)
    policy = make_policy(own)
    names = [receiver.name for receiver in receivers]
    check_lease(own)
    with ExitStack() as stack:
        if not own.outbox_url:
            stack.enter_context(only_one(own.outbox_path))
        shared = Metrics()
        # The last one is the webhook, where there is one.
        metrics = NotifierMetrics(shared, clocked_receiver=names[-1], receivers=names)
        tracer = stack.enter_context(tracing("cardwatch-notifier", shared))
        if tracer is not None:
            receivers = [TracedReceiver(receiver, tracer) for receiver in receivers]
        outbox: Outbox | None = None
        couriers: list[Courier] = []
        source: KafkaSource | None = None
        endpoint = HealthEndpoint(
            shared.registry,
            healthy=lambda: _unhealthy(couriers),
            ready=lambda: _unhealthy(couriers) or _unavailable(outbox) or _not_assigned(source),
            host=service.metrics_host,
            port=service.metrics_port,
        )
        endpoint.start()
        stack.callback(endpoint.stop)
        log.info("notifier starts", metrics_port=endpoint.port, receivers=names, outbox=outbox_name(own))
        outbox = patiently(shutdown, metrics, "outbox", lambda: open_outbox(own))
        if outbox is None:
            return
        stack.callback(outbox.close)
        shared.registry.register(OutboxCollector(outbox, now_micros))
        instance_id = patiently(shutdown, metrics, "outbox", partial(_attach, outbox, receivers))
        if instance_id is None:
            return
        couriers.extend(_courier(outbox, receiver, policy, metrics, shutdown) for receiver in receivers)
        for courier in couriers:
            # What an earlier run left is delivered at once, whether the broker is there or not.
            courier.start()
            stack.callback(courier.stop)
        for courier in couriers:
            stack.callback(courier.begin_stop)  # all of them, before any is waited for
        housekeeping = Housekeeping(outbox, own.retention_days, now_micros)
        housekeeping.start()
        stack.callback(housekeeping.stop)
        log.info("notifier started", outbox_id=instance_id)

        topic = ALERTS.name(service.topic_prefix)
        kafka = service.kafka_config()
        registry = service.registry()
        letters = DEAD_LETTERS
        letter_subject = letters.subject(service.topic_prefix)
        schema_id = patiently(shutdown, metrics, "registry", lambda: registry.id_of(letter_subject, "dead_letter"))
        topic_id = patiently(shutdown, metrics, "kafka", lambda: topic_identity(kafka, topic))
        if schema_id is not None and topic_id is not None:
            source = KafkaSource(
                kafka,
                topic,
                topic_id,
                service.consumer_group("notifier"),
                None if own.outbox_url else instance_id,
                outbox.positions,
                shared,
            )
            stack.callback(source.close)
            producer = Producer({**kafka, "acks": "all", "enable.idempotence": True, "log_level": 2})
            Intake(
                source=source,
                decode=Decoder("alert", registry),
                outbox=outbox,
                receivers=names,
                dead_letters=KafkaDeadLetters(
                    producer,
                    letters.name(service.topic_prefix),
                    Encoder("dead_letter", schema_id),
                    now_micros,
                    _DEAD_LETTER_TIMEOUT_SECONDS,
                ),
                wake=lambda: _wake(couriers),
                metrics=metrics,
                clock=now_micros,
                shutdown=shutdown,
            ).run()
        log.info("notifier stops")
    for courier in couriers:
        if courier.failure is not None:
            raise CardwatchError(f"the notifier had to stop: {courier.failure}") from courier.failure


def make_receivers(own: NotifierSettings) -> list[Receiver]:
    """The receivers that the settings name.

    Raises:
        ConfigurationError: there is none, or the webhook's URL or secret cannot be used.
    """
    receivers: list[Receiver] = []
    if own.stdout:
        if hasattr(sys.stdout, "reconfigure"):
            # A terminal that cannot show a character gets its code, never an error.
            sys.stdout.reconfigure(errors="backslashreplace")
        receivers.append(StandardOutput())
    if own.webhook_url:
        check_url(own.webhook_url)
        receivers.append(
            WebhookReceiver(
                own.webhook_url,
                checked_secret(own.webhook_secret.get_secret_value()),
                timeout_seconds=own.webhook_timeout_seconds,
                concurrency=own.webhook_concurrency,
            )
        )
    if not receivers:
        raise ConfigurationError(
            "there is nobody to notify: set CARDWATCH_NOTIFIER_WEBHOOK_URL, or leave standard output on (--stdout)"
        )
    return receivers


def open_outbox(own: NotifierSettings, *, create: bool = True) -> Outbox:
    """The outbox that the settings name.

    Args:
        create: make a SQLite file that is not there; a database's schema is made by ``migrate_outbox`` only.

    Raises:
        ConfigurationError: it is not there, another version of Cardwatch made it, or the settings do not fit together.
        OutboxUnavailableError: its database does not answer.
    """
    if not own.outbox_url:
        return SqliteOutbox(own.outbox_path, create=create)
    # Not needed with SQLite, and not small.
    from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox

    return PostgresOutbox(_database(own), own.outbox_lease_seconds)


def migrate_outbox(own: NotifierSettings) -> str:
    """Bring the schema of the outbox's database up to date. Returns what was done, one sentence.

    Raises:
        ConfigurationError: a newer version made it, or the settings do not fit together.
        CardwatchError: the database does not answer, or the role may not.
    """
    if not own.outbox_url:
        return (
            f"nothing to do for the SQLite outbox {own.outbox_path}: `cardwatch-notifier run` brings it up to date; "
            "CARDWATCH_NOTIFIER_OUTBOX_URL names a PostgreSQL one"
        )
    from cardwatch_notifier.outbox.postgres.schema import migrate

    database = _database(own)
    (before, after) = migrate(database)
    if before == after:
        return f"the outbox at {database.name} is up to date: schema {after}"
    was = f"schema {before}" if before else "nothing"
    return f"the outbox at {database.name} was brought from {was} to schema {after}"


def outbox_name(own: NotifierSettings) -> str:
    """Where the outbox is, without any secret."""
    return _database(own).name if own.outbox_url else str(own.outbox_path)


def _database(own: NotifierSettings) -> "Database":
    from cardwatch_notifier.outbox.postgres.database import Database

    file = own.outbox_password_file
    if file is not None and own.outbox_password.get_secret_value():
        raise ConfigurationError(
            "CARDWATCH_NOTIFIER_OUTBOX_PASSWORD and CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE are both set; "
            "one of them would be right"
        )

    def password() -> str:
        if file is None:
            return own.outbox_password.get_secret_value()
        try:
            return file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"the password file {file} cannot be read: {error.strerror}; "
                "CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE must name one that the notifier may read"
            ) from error

    return Database(own.outbox_url, password)


def check_lease(own: NotifierSettings) -> None:
    """Check that an attempt to deliver ends before its lease does.

    Raises:
        ConfigurationError: it might not.
    """
    if own.outbox_url and own.webhook_url and own.outbox_lease_seconds < 2 * own.webhook_timeout_seconds:
        raise ConfigurationError(
            f"CARDWATCH_NOTIFIER_OUTBOX_LEASE_SECONDS={own.outbox_lease_seconds:g} is less than twice "
            f"CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS={own.webhook_timeout_seconds:g}; "
            f"{2 * own.webhook_timeout_seconds:g} or more would be right"
        )


def make_policy(own: NotifierSettings) -> DeliveryPolicy:
    """The delivery policy that the settings describe.

    Raises:
        ConfigurationError: a first pause is longer than the longest one.
    """
    for kind, first, longest in (
        ("RETRY", own.retry_first_seconds, own.retry_longest_seconds),
        ("REJECTED", own.rejected_first_seconds, own.rejected_longest_seconds),
    ):
        if first > longest:
            raise ConfigurationError(
                f"CARDWATCH_NOTIFIER_{kind}_FIRST_SECONDS={first:g} is more than "
                f"CARDWATCH_NOTIFIER_{kind}_LONGEST_SECONDS={longest:g}; at most that would be right"
            )
    return DeliveryPolicy(
        transient=RetrySchedule(own.retry_first_seconds, own.retry_longest_seconds),
        rejected=RetrySchedule(own.rejected_first_seconds, own.rejected_longest_seconds),
        max_failures=own.retry_attempts,
        max_rejections=own.rejected_attempts,
    )


def check_url(url: str) -> None:
    """Check a webhook's URL.

    Raises:
        ConfigurationError: it is no http(s) URL with a host. The sentence does not quote it: it may hold a secret.
    """
    try:
        parsed = httpx.URL(url)
        usable = parsed.scheme in {"http", "https"} and bool(parsed.host)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise ConfigurationError(
            "CARDWATCH_NOTIFIER_WEBHOOK_URL is no usable URL; https://host/path (or http://) would be right"
        )


def checked_secret(secret: str) -> str:
    """A webhook's secret that can be used as it is.

    Raises:
        ConfigurationError: it is none, or not whsec_ and base64 of 24 to 64 bytes (Standard Webhooks 1.0).
    """
    if not secret:
        raise ConfigurationError(
            "CARDWATCH_NOTIFIER_WEBHOOK_URL is set but CARDWATCH_NOTIFIER_WEBHOOK_SECRET is not; "
            "whsec_ and 24 to 64 random bytes in base64 would be right"
        )
    problem = ""
    if not secret.startswith(_SECRET_PREFIX):
        problem = "does not start with whsec_"
    else:
        try:
            size = len(base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True))
        except binascii.Error:
            problem = "is not base64 after whsec_"
        else:
            if not 24 <= size <= 64:
                problem = f"holds {size} bytes"
    if problem:
        raise ConfigurationError(
            f"CARDWATCH_NOTIFIER_WEBHOOK_SECRET {problem}; whsec_ and 24 to 64 random bytes in base64 would be right"
        )
    return secret


@contextmanager
def only_one(outbox_path: Path) -> Iterator[None]:
    """Hold the outbox for this process; the operating system lets go of it however the process ends.

    Raises:
        ConfigurationError: another process holds it, or its directory cannot be written.
    """
    lock = FileLock(outbox_path.with_name(outbox_path.name + ".lock"))
    try:
        outbox_path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(
            f"another notifier is working on the outbox {outbox_path}: stop it, "
            "or give this one its own with CARDWATCH_NOTIFIER_OUTBOX_PATH"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the outbox's directory {outbox_path.parent} cannot be used: {error.strerror}; "
            "CARDWATCH_NOTIFIER_OUTBOX_PATH must name a file in a directory that the notifier may write"
        ) from error
    try:
        yield
    finally:
        lock.release()


def now_micros() -> int:
    """Now, microseconds since 1970-01-01 UTC."""
    return now_microseconds()


def _attach(outbox: Outbox, receivers: list[Receiver]) -> str:
    """Make the receivers known to the outbox; returns its identity."""
    for receiver in receivers:
        outbox.attach(receiver.name, receiver.target, now_micros())
    return outbox.instance_id()


def _courier(
    outbox: Outbox, receiver: Receiver, policy: DeliveryPolicy, metrics: NotifierMetrics, shutdown: Shutdown
) -> Courier:
    executor = ThreadPoolExecutor(receiver.concurrency, thread_name_prefix=receiver.name)
    jitter = random.SystemRandom()
    return Courier(outbox, receiver, policy, executor, metrics, now_micros, jitter.random, on_failure=shutdown.request)


def _wake(couriers: list[Courier]) -> None:
    for courier in couriers:
        courier.wake()


def _unhealthy(couriers: list[Courier]) -> str:
    return "" if all(courier.alive for courier in couriers) else "a receiver's courier has ended"


def _unavailable(outbox: Outbox | None) -> str:
    return "waiting for the outbox" if outbox is None else outbox.problem()


def _not_assigned(source: KafkaSource | None) -> str:
    return "" if source is not None and source.assigned else "waiting for partitions of the alerts topic"
