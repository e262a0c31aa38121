"""Properties of the outbox on PostgreSQL only: replicas share it, and its server may be away for a while."""

import dataclasses
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_notifier.delivery.courier import Courier
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Delivered, Outcome, TryAgain
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule
from cardwatch_notifier.metrics import NotifierMetrics, OutboxCollector
from cardwatch_notifier.notified_state import Decision
from cardwatch_notifier.outbox.opening import open_outbox
from cardwatch_notifier.outbox.postgres.connections import Timeouts
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox
from cardwatch_notifier.outbox.postgres.schema import advisory_key
from cardwatch_notifier.outbox.protocol import Attempt, DeliveryState, Message, OutboxDataError, OutboxUnavailableError
from cardwatch_notifier.settings import NotifierSettings, OutboxSettings
from cardwatch_notifier.wait_for_dependency import wait_for_dependency
from cardwatch_service.metrics import Metrics
from cardwatch_service.retry import Deadline
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import now_microseconds

POLICY = DeliveryPolicy(
    RetrySchedule(0.001, 0.01), RetrySchedule(60, 3600), max_failures=50, max_rejections=2, jitter=lambda: 0.5
)


class World:
    """A webhook that all replicas post to. Records messages, and whether an alert ever had two messages under way."""

    def __init__(self, answer: Callable[[Message], Outcome] = lambda _: Delivered()) -> None:
        self.answer = answer
        self.accepted: list[tuple[str, str]] = []
        self.overlaps: list[str] = []
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    def post(self, replica: str, message: Message) -> Outcome:
        with self._lock:
            self._under_way[message.alert_id] += 1
            if self._under_way[message.alert_id] > 1:
                self.overlaps.append(message.alert_id)
        outcome = self.answer(message)
        with self._lock:
            self._under_way[message.alert_id] -= 1
            if isinstance(outcome, Delivered):
                self.accepted.append((replica, message.message_id))
        return outcome

    @property
    def ids(self) -> list[str]:
        return [message_id for _, message_id in self.accepted]


class WebhookOf:
    """The receiver of one replica, which posts to the shared webhook."""

    name, target, concurrency, deadline_seconds = "webhook", "there", 3, 10.0

    def __init__(self, replica: str, world: World) -> None:
        self._replica = replica
        self._world = world

    def deliver(self, message: Message) -> Outcome:
        return self._world.post(self._replica, message)

    def close(self) -> None:
        """There is nothing to close."""


class Replicas:
    """Notifiers with an outbox object and a courier each; closed at the end."""

    def __init__(self, place: Any, timeouts: Timeouts | None = None) -> None:
        self._place = place
        self._timeouts = timeouts or Timeouts()
        self._stack = ExitStack()

    def outbox(self, lease_seconds: float = 30.0, timeouts: Timeouts | None = None) -> PostgresOutbox:
        box = PostgresOutbox(self._place.database, lease_seconds, timeouts=timeouts or self._timeouts)
        self._stack.callback(box.close)
        box.attach("webhook", "there", 0)
        return box

    def courier(
        self, name: str, world: World, lease_seconds: float = 30.0, executor: Executor | None = None
    ) -> Courier:
        metrics = NotifierMetrics(Metrics(), "webhook")
        pool = executor or ThreadPoolExecutor(WebhookOf.concurrency)
        box = self.outbox(lease_seconds)
        courier = Courier(box, WebhookOf(name, world), POLICY, pool, metrics, now_microseconds)
        self._stack.callback(courier.stop)
        return courier

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def replicas(shared: Any) -> Iterator[Replicas]:
    running = Replicas(shared)
    yield running
    running.close()


def test_two_replicas_with_the_same_messages_accept_each_once(replicas: Replicas, shared: Any, kit: Any) -> None:
    """After a rebalance that one replica has not noticed, both read from the same offset, in batches of different
    sizes.
    """
    log = [
        kit.arrival(offset, f"n{offset % 40}", "raised" if offset % 80 < 40 else "retracted") for offset in range(160)
    ]
    decisions: list[Decision] = []
    start = threading.Barrier(2)

    def read(box: PostgresOutbox, size: int) -> None:
        start.wait()
        for first in range(0, len(log), size):
            decisions.extend(box.accept(log[first : first + size], ["webhook"], now=5))

    threads = [threading.Thread(target=read, args=(replicas.outbox(), size)) for size in (7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(decisions) == {Decision.RAISED: 80, Decision.RETRACTED: 80}
    assert shared.rows("SELECT next_offset FROM positions") == [(160,)]
    assert shared.rows("SELECT count(*), count(DISTINCT message_id) FROM messages") == [(160, 160)]


@pytest.mark.parametrize(
    "change",
    [{"rule_id": "a\x00b"}, {"body": '{"a":"\x00"}'}, {"event_time": 2**63}, {"raw_broker_time": -(2**63) - 1}],
    ids=["zero byte", "zero byte in the body", "too large", "too small"],
)
def test_a_value_that_the_database_cannot_hold_is_told_from_an_outage(
    shared: Any, kit: Any, change: dict[str, Any]
) -> None:
    arrival = kit.arrival(0, "a")
    bad = dataclasses.replace(arrival, alert=dataclasses.replace(arrival.alert, **change))
    with closing(shared.open()) as outbox:
        with pytest.raises(OutboxDataError, match="cannot hold a value"):
            outbox.accept([bad], ["webhook"], 1)
        assert outbox.positions() == {}
        outbox.accept([arrival], ["webhook"], 1)


def test_a_reader_that_lost_its_partition_adds_nothing(replicas: Replicas, kit: Any) -> None:
    loser, winner = replicas.outbox(), replicas.outbox()
    loser.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    winner.accept([kit.arrival(1, "b"), kit.arrival(2, "b", "retracted")], ["webhook"], now=6)
    assert loser.accept([kit.arrival(1, "b")], ["webhook"], now=7) == []
    assert winner.positions() == {kit.PARTITION: 3}


def test_two_replicas_deliver_each_message_once_and_each_alerts_messages_in_order(
    replicas: Replicas, shared: Any, kit: Any
) -> None:
    attempts: Counter[str] = Counter()

    def answer(message: Message) -> Outcome:
        attempts[message.message_id] += 1
        time.sleep(0.002)
        return TryAgain("503") if attempts[message.message_id] == 1 and message.sequence % 5 == 0 else Delivered()

    world = World(answer)
    statuses = ["raised", "retracted", "raised"]
    replicas.outbox().accept(
        [
            kit.arrival(100 * place + number, f"n{number}", status)
            for place, status in enumerate(statuses)
            for number in range(100)
        ],
        ["webhook"],
        now=5,
    )
    couriers = [replicas.courier(name, world) for name in ("one", "other")]
    for courier in couriers:
        courier.start()
    kit.wait_until(lambda: len(world.accepted) >= 300, 30)
    for courier in couriers:
        courier.stop()
        assert courier.failure is None
    assert max(Counter(world.ids).values()) == 1
    assert world.overlaps == []
    for number in range(100):
        alert = kit.alert_id(f"n{number}")
        assert [one for one in world.ids if one.startswith(alert)] == [alert, f"{alert}-2", f"{alert}-3"]
    shares = Counter(replica for replica, _ in world.accepted)
    assert min(shares["one"], shares["other"]) > 30, shares
    assert shared.rows("SELECT delivered FROM receivers") == [(300,)]


KILLED = """
import sys, time
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox
outbox = PostgresOutbox(Database(sys.argv[1], lambda: ""), lease_seconds=2.0)
print(len(outbox.lease("webhook", 10, 2)), flush=True)
time.sleep(60)
"""


@pytest.mark.faults
def test_deliveries_of_a_killed_process_go_to_another_after_the_lease(
    replicas: Replicas, shared: Any, kit: Any
) -> None:
    box = replicas.outbox()
    box.accept([kit.arrival(offset, name) for offset, name in enumerate("abc")], ["webhook"], now=5)
    url = shared.settings()["CARDWATCH_NOTIFIER_OUTBOX_URL"]
    with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"2\n"
            leased_at = time.monotonic()
        finally:
            process.kill()
    assert [one.message.alert_id for one in box.lease("webhook", 10, 100)] == [kit.alert_id("c")]
    taken_over: list[str] = []
    while not taken_over:
        assert time.monotonic() - leased_at < 10
        time.sleep(0.02)
        taken_over = [one.message.message_id for one in box.lease("webhook", 10, 100)]
    assert time.monotonic() - leased_at > 1.7, "not before the lease was over"
    assert taken_over == [kit.alert_id("a"), kit.alert_id("b")]


def test_only_the_new_holder_records_a_delivery_that_was_taken_over(replicas: Replicas, shared: Any, kit: Any) -> None:
    slow, quick = replicas.outbox(), replicas.outbox()
    slow.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted"), kit.arrival(2, "b")], ["webhook"], now=5)
    assert len(slow.lease("webhook", 10, 100)) == 2
    shared.run_leases_out()
    assert len(quick.lease("webhook", 10, 1)) == 1
    assert slow.renew("webhook", [1, 3]) == {3}, "what nobody took is still its own"
    done = [Attempt(sequence, DeliveryState.DELIVERED, at=11) for sequence in (1, 3)]
    assert slow.record("webhook", done) == 1
    assert slow.release("webhook", [1]) == 0
    # The first is still under way elsewhere: the second message of the alert has to wait.
    assert slow.lease("webhook", 10, 100) == []
    assert quick.record("webhook", done) == 1
    assert [one.message.sequence for one in slow.lease("webhook", 20, 100)] == [2]
    assert shared.rows("SELECT delivered FROM receivers") == [(2,)]


def test_an_attempt_that_takes_longer_than_the_lease_is_not_taken_over(replicas: Replicas, kit: Any) -> None:
    released = threading.Event()

    def answer(message: Message) -> Outcome:
        released.wait(10)
        return Delivered()

    world = World(answer)
    other = replicas.outbox(0.4)
    other.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    courier = replicas.courier("slow", world, lease_seconds=0.4)
    courier.start()
    time.sleep(0.1)
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        assert other.lease("webhook", now_microseconds(), 10) == []
        time.sleep(0.02)
    released.set()
    kit.wait_until(lambda: other.backlog()[0].delivered == 1)


class Deferred(Executor):
    """An executor that runs its tasks when the test asks for it."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs.append(lambda: fn(*args, **kwargs))
        return Future()


def test_an_attempt_is_not_begun_when_its_lease_is_about_to_run_out(replicas: Replicas, kit: Any) -> None:
    world, executor = World(), Deferred()
    other = replicas.outbox()
    other.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    courier = replicas.courier("stalled", world, lease_seconds=1.0, executor=executor)
    courier.send_due()
    time.sleep(0.55)  # no renewal in the meantime, as if its thread or the database hung
    executor.jobs.pop()()
    courier.record_outcomes()
    assert world.accepted == []
    assert len(other.lease("webhook", now_microseconds(), 10)) == 1, "given back, before the lease is over"


def test_a_sequence_number_reused_by_a_restored_outbox_is_another_message(
    replicas: Replicas, shared: Any, kit: Any
) -> None:
    world, executor = World(), Deferred()
    box = replicas.outbox()
    box.accept([kit.arrival(0, "lost")], ["webhook"], now=5)
    courier = replicas.courier("slow", world, executor=executor)
    courier.send_due()
    shared.empty()
    box.attach("webhook", "there", 0)
    box.accept([kit.arrival(0, "found")], ["webhook"], now=6)  # numbered 1 as well
    courier.send_due()
    executor.jobs.pop()()
    courier.record_outcomes()
    assert world.ids == [kit.alert_id("lost")]
    assert box.backlog()[0].pending == 1, "the outcome of the other is not taken for this one's"
    courier.send_due()
    executor.jobs.pop()()
    courier.record_outcomes()
    assert world.ids == [kit.alert_id("lost"), kit.alert_id("found")]
    assert box.backlog()[0].pending == 0


def test_a_stop_releases_deliveries_that_were_not_begun(replicas: Replicas, kit: Any) -> None:
    def answer(message: Message) -> Outcome:
        time.sleep(0.1)
        return Delivered()

    world = World(answer)
    other = replicas.outbox()
    other.accept([kit.arrival(offset, f"n{offset}") for offset in range(30)], ["webhook"], now=5)
    courier = replicas.courier("stopped", world)
    courier.start()
    kit.wait_until(lambda: len(world.accepted) >= 1)
    courier.stop()
    delivered = len(world.accepted)
    assert delivered < 30
    assert len(other.lease("webhook", now_microseconds(), 100)) == 30 - delivered


def test_a_receiver_that_one_replica_disables_gets_nothing_from_another(replicas: Replicas, kit: Any) -> None:
    one, other = replicas.outbox(), replicas.outbox()
    one.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    one.disable("webhook", "it answered 410 Gone", now=6)
    assert other.lease("webhook", 10, 10) == []
    assert other.disable("webhook", "it answered 410 Gone", now=7) is False
    other.attach("webhook", "elsewhere", now=8)
    assert len(one.lease("webhook", 10, 10)) == 1


def test_only_one_replica_prunes_at_a_time(replicas: Replicas, shared: Any, kit: Any) -> None:
    one = replicas.outbox()
    one.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    kit.keep(one, Attempt(1, DeliveryState.DELIVERED, at=10))
    with shared.database.connect() as connection, connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({advisory_key('housekeeping')})")
        assert one.prune(before=6) == 0
    assert one.prune(before=6) == 1


def test_replicas_see_one_identity(replicas: Replicas) -> None:
    assert replicas.outbox().instance_id() == replicas.outbox().instance_id()


@pytest.mark.faults
class TestTheServerGoesAndComesBack:
    """Outages of the server, which is repaired after each test."""

    @pytest.fixture
    def replicas(self, shared: Any, postgres: Any) -> Iterator[Replicas]:
        """Replicas that report an outage within a second; the server runs again afterwards."""
        running = Replicas(shared, Timeouts(connection_seconds=0.3))
        yield running
        running.close()
        postgres.kill()
        postgres.start()

    def test_deliveries_pause_during_an_outage_and_nothing_is_lost(
        self, replicas: Replicas, postgres: Any, kit: Any
    ) -> None:
        world = World(lambda _: time.sleep(0.002) or Delivered())  # type: ignore[func-returns-value]
        box = replicas.outbox()
        metrics = NotifierMetrics(Metrics(), "webhook")
        metrics.shared.registry.register(OutboxCollector(box, now_microseconds))
        available = lambda: metrics.shared.registry.get_sample_value("cardwatch_notifier_outbox_available")  # noqa: E731
        box.accept([kit.arrival(offset, f"n{offset}") for offset in range(200)], ["webhook"], now=5)
        assert (box.problem(), available()) == ("", 1)
        courier = replicas.courier("only", world)
        courier.start()
        kit.wait_until(lambda: len(world.accepted) >= 30)
        postgres.kill()
        late = [kit.arrival(200, "late")]
        with pytest.raises(OutboxUnavailableError, match="does not answer"):
            box.accept(late, ["webhook"], now=6)
        assert "does not answer" in box.problem()
        assert available() == 0
        accepted: list[Any] = []
        intake = threading.Thread(
            target=lambda: accepted.append(
                wait_for_dependency(
                    "outbox", lambda: box.accept(late, ["webhook"], now=6), stop=Shutdown(), metrics=metrics
                )
            )
        )
        intake.start()
        postgres.start()
        intake.join(20)
        assert accepted == [[Decision.RAISED]]
        kit.wait_until(lambda: len(set(world.ids)) == 201, 20)
        kit.wait_until(lambda: box.backlog()[0].delivered == 201, 20)
        assert courier.alive
        assert (box.problem(), available()) == ("", 1)
        # What was being delivered kept its lease over the crash: nothing was delivered twice.
        assert max(Counter(world.ids).values()) == 1

    def test_a_server_that_hangs_is_reported(self, replicas: Replicas, postgres: Any) -> None:
        box = replicas.outbox(timeouts=Timeouts(slow_call_seconds=0.2))
        registry = Metrics().registry
        registry.register(OutboxCollector(box, now_microseconds))
        postgres.pause()
        try:
            call = threading.Thread(target=box.positions)
            call.start()
            time.sleep(0.25)
            assert "has not answered for" in box.problem()
            assert registry.get_sample_value("cardwatch_notifier_outbox_available") == 0
        finally:
            postgres.resume()
        call.join(10)
        assert (box.problem(), registry.get_sample_value("cardwatch_notifier_outbox_available")) == ("", 1)

    def test_a_stop_during_an_outage_does_not_hang(self, replicas: Replicas, postgres: Any, kit: Any) -> None:
        world = World(lambda _: time.sleep(0.01) or Delivered())  # type: ignore[func-returns-value]
        replicas.outbox().accept([kit.arrival(offset, f"n{offset}") for offset in range(50)], ["webhook"], now=5)
        courier = replicas.courier("only", world)
        courier.start()
        kit.wait_until(lambda: len(world.accepted) >= 1)
        postgres.kill()
        began = time.monotonic()
        courier.stop(drain_seconds=0.1)
        assert time.monotonic() - began < 3
        assert courier.failure is None

    def test_a_primary_that_was_demoted_is_left_for_the_new_one(
        self, replicas: Replicas, shared: Any, kit: Any
    ) -> None:
        box = replicas.outbox()
        box.positions()
        name = shared.name

        def write() -> None:
            for number in range(5):  # the pool may have been opening a connection in the very moment of the change
                box._connections.pool.drain()
                box.accept([kit.arrival(number, f"before {number}")], ["webhook"], now=5)

        shared.server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            with pytest.raises(OutboxUnavailableError, match="read-only transaction"):
                write()
        finally:
            shared.server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        # The pool may have asked the old primary once more in the meantime.
        metrics = NotifierMetrics(Metrics(), "webhook")
        again = lambda: box.accept([kit.arrival(9, "a")], ["webhook"], now=5)  # noqa: E731
        assert wait_for_dependency("outbox", again, stop=Deadline(10), metrics=metrics) == [Decision.RAISED]


@pytest.fixture
def role(shared: Any) -> Iterator[str]:
    """A role without any rights, to which tests grant those that a notifier needs."""
    name = f"runner_{uuid.uuid4().hex[:8]}"
    shared.rows(f"CREATE ROLE {name} LOGIN")
    yield name
    shared.rows(f"DROP OWNED BY {name}")
    shared.rows(f"DROP ROLE {name}")


def test_the_rights_that_the_manual_names_are_enough(shared: Any, role: str, kit: Any) -> None:
    shared.rows(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    box = PostgresOutbox(Database(shared.server.url(shared.name, role), lambda: ""), 30)
    try:
        box.attach("webhook", "there", 0)
        box.accept([kit.arrival(0, "a")], ["webhook"], now=5)
        kit.keep(box, Attempt(1, DeliveryState.DELIVERED, at=10))
        box.disable("webhook", "gone", 11)
        box.retry(None, 12)
        assert (box.backlog()[0].delivered, box.prune(6)) == (1, 1)
        assert box.instance_id()
    finally:
        box.close()


def test_a_role_without_rights_ends_in_a_sentence(shared: Any, role: str) -> None:
    shared.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    box = PostgresOutbox(Database(shared.server.url(shared.name, role), lambda: ""), 30)
    try:
        with pytest.raises(
            CardwatchError, match="cannot be used: permission denied for table receivers; the role needs"
        ):
            box.attach("webhook", "there", 0)
    finally:
        box.close()


def test_the_password_comes_from_a_file_and_may_be_rotated(
    shared: Any, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    shared.rows(f"ALTER ROLE {role} PASSWORD 'first'")
    shared.server.ask_for_password(role)
    file = tmp_path / "password"
    file.write_text("first\n")
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_URL", shared.server.url(shared.name, role))
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE", str(file))
    box: Any = open_outbox(load_settings(OutboxSettings))
    try:
        assert box.positions() == {}
        shared.rows(f"ALTER ROLE {role} PASSWORD 'second'")
        file.write_text("second")
        box._connections.pool.drain()
        assert box.positions() == {}
    finally:
        box.close()
    file.write_text("wrong")
    with pytest.raises(OutboxUnavailableError, match="password authentication failed") as refused:
        open_outbox(load_settings(OutboxSettings))
    assert "wrong" not in str(refused.value)
    file.unlink()
    with pytest.raises(ConfigurationError, match=r"the password file .* cannot be read: No such file"):
        open_outbox(load_settings(OutboxSettings))
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_PASSWORD", "second")
    with pytest.raises(ConfigurationError, match="are both set"):
        open_outbox(load_settings(OutboxSettings))
    monkeypatch.delenv("CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE")
    open_outbox(load_settings(OutboxSettings)).close()


def test_commits_are_durable_with_any_default_of_the_role(shared: Any, role: str) -> None:
    shared.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    shared.rows(f"ALTER ROLE {role} SET synchronous_commit = off")
    box = PostgresOutbox(Database(shared.server.url(shared.name, role), lambda: ""), 30)
    try:
        with box._connections.connection() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        box.close()


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/d", "postgresql://u:s3cret@h/d?no_such=option", "s3cret"])
def test_an_invalid_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"expected a URL such as postgresql://user@host:5432/database"
    ) as refused:
        Database(url, lambda: "")
    assert "s3cret" not in str(refused.value)


def test_a_databases_name_holds_no_secret() -> None:
    database = Database("postgresql://u:s3cret@pg-0,pg-1:5433/d?sslmode=require", lambda: "other")
    assert database.name == "postgresql://u@pg-0,pg-1:5433/d"


def test_a_lease_shorter_than_two_attempts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_URL", "postgresql://u@h/d")
    monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_URL", "https://receiver")
    monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS", "20")
    with pytest.raises(
        ConfigurationError, match=r"CARDWATCH_NOTIFIER_OUTBOX_LEASE_SECONDS=30 is less than .* expected 40 or more"
    ):
        load_settings(NotifierSettings)
