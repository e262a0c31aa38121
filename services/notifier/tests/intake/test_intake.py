"""From Kafka through the outbox to the receiver: what happens when the process dies between any two steps."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from cardwatch_card_numbers.scanner import find_card_numbers
from cardwatch_card_numbers.testing import BINARY_CASES, TEXT_CASES, MaskingCase, Structure
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_kafka.dead_letters import DeadLetter, DeadLetterError
from cardwatch_kafka.group_consumer import ConsumedMessage
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition
from cardwatch_notifier.delivery.courier import Courier
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule
from cardwatch_notifier.intake.dead_letters import refuse
from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.intake import Intake, OutboxWriter
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import (
    Outbox,
    OutboxBehindError,
    OutboxDataError,
    OutboxUnavailableError,
    SourcePartition,
)
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from fastavro.validation import validate
from support.rows import every_row


class Crash(BaseException):
    """The process is gone."""


class Steps:
    """Counts the boundaries between steps; the process dies at the one that is asked for."""

    def __init__(self, die_at: int | None) -> None:
        self.passed: list[str] = []
        self._die_at = die_at

    def boundary(self, name: str) -> None:
        if len(self.passed) == self._die_at:
            raise Crash(name)
        self.passed.append(name)

    def around(self, thing: Any, method: str) -> None:
        inner: Callable[..., Any] = getattr(thing, method)

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.boundary(f"before {method}")
            result = inner(*args, **kwargs)
            self.boundary(f"after {method}")
            return result

        setattr(thing, method, stepped)


class World:
    """The state that outlives the process: the broker's log and committed offsets, dead letters, the receiver's
    messages.
    """

    def __init__(self, log: Sequence[bytes], receiver: Any, partition: SourcePartition) -> None:
        self.log = log
        self.committed = 0
        self.letters: list[int] = []
        self.receiver = receiver
        self.partition = partition


class FakeSource:
    """One partition. Starts at the outbox's position, else at the committed offset, like the real one."""

    assigned = True

    def __init__(self, world: World, positions: Mapping[SourcePartition, int]) -> None:
        self._world = world
        self._next = positions.get(world.partition, world.committed)

    def poll(self, timeout_seconds: float) -> list[ConsumedMessage]:
        batch = self._world.log[self._next : self._next + 3]
        place = self._world.partition
        messages = [
            ConsumedMessage(ReceivedMessage(place.topic, place.number, offset, b"key", value), 0)
            for offset, value in enumerate(batch, start=self._next)
        ]
        self._next += len(batch)
        return messages

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        place = self._world.partition
        self._world.committed = positions[TopicPartition(place.topic, place.number)]

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        """Nothing to leave."""


class FakeDeadLetters:
    def __init__(self, world: World, failures: int = 0) -> None:
        self._world = world
        self._failures = failures

    def write(self, letters: Sequence[DeadLetter]) -> None:
        if self._failures > 0:
            self._failures -= 1
            raise DeadLetterError("the broker is away")
        self._world.letters.extend(letter.source.offset for letter in letters)


def outbox_writer(outbox: Outbox, clock: Any) -> OutboxWriter:
    return OutboxWriter(outbox, ["webhook"], topic_id="topic-id", wake=lambda: None, clock=clock)


def live(place: Any, world: World, steps: Steps, kit: Any, clock: Any) -> Metrics:
    """Run the process until it crashes or has nothing left to do; starts after the previous run's leases have ended."""
    place.run_leases_out()
    outbox = place.open()
    try:
        outbox.attach("webhook", "there", clock())
        shared = Metrics()
        metrics = NotifierMetrics(shared, "webhook")
        source, letters = FakeSource(world, outbox.positions()), FakeDeadLetters(world)
        receiver = kit.FakeReceiver()
        receiver.messages = world.receiver.messages
        for thing, method in (
            (source, "poll"), (letters, "write"), (outbox, "accept"), (source, "commit"),
            (receiver, "deliver"), (outbox, "record"),
        ):  # fmt: skip
            steps.around(thing, method)
        policy = DeliveryPolicy(RetrySchedule(1, 60), RetrySchedule(60, 3600), 5, 2, jitter=lambda: 0.5)
        courier = Courier(outbox, receiver, policy, kit.Inline(), metrics, clock)
        decoder = AlertDecoder(functools.partial(decode, kit), clock)
        intake = Intake(source, decoder, letters, outbox_writer(outbox, clock), metrics, Shutdown())
        idle = False
        while not idle:
            messages = source.poll(0)
            if messages:
                intake.take(messages)
            idle = not messages and outbox.backlog()[0].pending == 0
            courier.send_due()
            courier.record_outcomes()
        return shared
    finally:
        outbox.close()


def decode(kit: Any, value: bytes | None) -> dict[str, Any]:
    if value == b"garbage":
        raise RefusedError(Reason.UNDECODABLE_AVRO, "garbage")
    assert value is not None
    (name, status, *mode) = value.decode().split()
    record: dict[str, Any] = kit.record(name, status, *mode)
    return record


LOG = [
    b"a raised",
    b"b raised",
    b"a raised",
    b"garbage",
    b"a retracted",
    b"s raised shadow",
    b"c raised",
    b"a raised",
]


@pytest.fixture
def world(kit: Any) -> World:
    return World(LOG, kit.FakeReceiver(), kit.PARTITION)


def expected_ids(kit: Any) -> list[str]:
    a, b, c = (kit.alert_id(name) for name in "abc")
    return sorted([a, b, f"{a}-2", c, f"{a}-3"])


def test_without_a_crash_everything_happens_once(place: Any, world: World, kit: Any, clock: Any) -> None:
    metrics = live(place, world, Steps(None), kit, clock)
    assert sorted(world.receiver.ids) == expected_ids(kit)
    assert world.letters == [3]
    assert world.committed == len(LOG)
    sample = metrics.registry.get_sample_value
    assert sample("cardwatch_messages_consumed_total", {"topic": "alerts.v1"}) == len(LOG)
    assert sample("cardwatch_messages_refused_total", {"reason": "undecodable_avro"}) == 1
    assert sample("cardwatch_notifier_transitions_total", {"verdict": "shadow"}) == 1


def boundaries(kit: Any, clock: Any, place: Any) -> int:
    steps = Steps(None)
    live(place, World(LOG, kit.FakeReceiver(), kit.PARTITION), steps, kit, clock)
    assert len(set(steps.passed)) == 12, "every step is under test, before and after"
    return len(steps.passed)


@pytest.mark.faults
def test_a_crash_between_any_two_steps_loses_nothing_and_adds_no_message_id(place: Any, kit: Any, clock: Any) -> None:
    for die_at in range(boundaries(kit, clock, place)):
        world = World(LOG, kit.FakeReceiver(), kit.PARTITION)
        place.empty()
        with pytest.raises(Crash) as crash:
            live(place, world, Steps(die_at), kit, clock)
        live(place, world, Steps(None), kit, clock)
        where = f"died {crash.value}, step {die_at}"
        # A delivery whose outcome was not recorded is repeated with the same id.
        assert sorted(set(world.receiver.ids)) == expected_ids(kit), where
        assert set(world.letters) == {3}, where
        of_a = [one.removeprefix(kit.alert_id("a")) for one in world.receiver.ids if one.startswith(kit.alert_id("a"))]
        assert list(dict.fromkeys(of_a)) == ["", "-2", "-3"], where
        bodies: dict[str, str] = {}
        for message in world.receiver.messages:
            assert bodies.setdefault(message.message_id, message.body) == message.body, where


def crashes() -> Iterator[tuple[str, int]]:
    yield from (("before", 0), ("after", 1))


def test_a_delivery_is_repeated_only_if_the_process_died_before_it_was_kept(place: Any, kit: Any, clock: Any) -> None:
    for when, repeated in crashes():
        world = World([b"a raised"], kit.FakeReceiver(), kit.PARTITION)
        steps = Steps(None)
        place.empty()
        live(place, World([b"a raised"], kit.FakeReceiver(), kit.PARTITION), steps, kit, clock)
        place.empty()
        die_at = steps.passed.index("before record" if when == "before" else "after record")
        with pytest.raises(Crash):
            live(place, world, Steps(die_at), kit, clock)
        live(place, world, Steps(None), kit, clock)
        assert len(world.receiver.ids) == (2 if repeated == 0 else 1)


def intake(
    outbox: Outbox,
    world: World,
    clock: Any,
    decoder: Any,
    letters: Any,
    shutdown: Shutdown,
    source: FakeSource | None = None,
) -> Intake:
    source = source or FakeSource(world, {})
    metrics = NotifierMetrics(Metrics(), "webhook")
    return Intake(source, AlertDecoder(decoder, clock), letters, outbox_writer(outbox, clock), metrics, shutdown)


class Hurry(Shutdown):
    """A stop that does not sleep and is requested after a number of waits."""

    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self.waits = 0
        self._stop_after = stop_after

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        if self.waits >= self._stop_after:
            self.request()
        return self.requested


def test_intake_waits_for_the_registry(outbox: Outbox, world: World, kit: Any, clock: Any) -> None:
    failures = 3

    def decoder(value: bytes | None) -> dict[str, Any]:
        nonlocal failures
        if failures > 0:
            failures -= 1
            raise RegistryUnavailableError("the registry does not answer")
        return decode(kit, value)

    shutdown = Hurry(stop_after=100)
    intake(outbox, world, clock, decoder, FakeDeadLetters(world), shutdown).take(FakeSource(world, {}).poll(0))
    assert shutdown.waits == 3
    assert outbox.positions() == {kit.PARTITION: 3}
    assert world.letters == []


def test_a_stop_while_waiting_for_the_registry_passes_no_offset(
    outbox: Outbox, world: World, kit: Any, clock: Any
) -> None:
    def decoder(value: bytes | None) -> dict[str, Any]:
        raise RegistryUnavailableError("the registry does not answer")

    intake(outbox, world, clock, decoder, FakeDeadLetters(world), Hurry(stop_after=2)).take(
        FakeSource(world, {}).poll(0)
    )
    assert outbox.positions() == {}
    assert world.committed == 0


class AwayOutbox:
    """A wrapper of an outbox that does not answer the first calls."""

    def __init__(self, outbox: Outbox, failures: int, error: Exception) -> None:
        self._outbox = outbox
        self._failures = failures
        self._error = error

    def accept(self, *arguments: Any) -> Any:
        if self._failures > 0:
            self._failures -= 1
            raise self._error
        return self._outbox.accept(*arguments)


def test_intake_waits_for_the_outbox(outbox: Outbox, world: World, kit: Any, clock: Any) -> None:
    away: Any = AwayOutbox(outbox, 3, OutboxUnavailableError("the outbox does not answer"))
    shutdown = Hurry(stop_after=100)
    letters = FakeDeadLetters(world)
    intake(away, world, clock, functools.partial(decode, kit), letters, shutdown).take(FakeSource(world, {}).poll(0))
    assert shutdown.waits == 3
    assert outbox.positions() == {kit.PARTITION: 3}


class NarrowOutbox:
    """A wrapper of an outbox that cannot hold the alert of one offset."""

    def __init__(self, outbox: Outbox, offset: int) -> None:
        self._outbox = outbox
        self._offset = offset

    def accept(self, arrivals: Any, *arguments: Any) -> Any:
        if any(arrival.offset == self._offset and arrival.alert is not None for arrival in arrivals):
            raise OutboxDataError("the outbox cannot hold a value (SQLSTATE 22021)")
        return self._outbox.accept(arrivals, *arguments)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_alert_that_the_outbox_cannot_hold_becomes_a_dead_letter_and_stops_no_other(
    outbox: Outbox, world: World, kit: Any, clock: Any, bad: int
) -> None:
    world.log = [b"a raised", b"b raised", b"c raised"]
    narrow: Any = NarrowOutbox(outbox, bad)
    letters = FakeDeadLetters(world, failures=1)
    messages = FakeSource(world, {}).poll(0)
    intake(narrow, world, clock, functools.partial(decode, kit), letters, Hurry(stop_after=100)).take(messages)
    assert world.letters == [bad]
    assert outbox.positions() == {kit.PARTITION: 3}
    assert sum(backlog.pending for backlog in outbox.backlog()) == 2


def test_a_stop_while_waiting_for_the_outbox_passes_no_offset(
    outbox: Outbox, world: World, kit: Any, clock: Any
) -> None:
    away: Any = AwayOutbox(outbox, 1000, OutboxUnavailableError("the outbox does not answer"))
    letters = FakeDeadLetters(world)
    intake(away, world, clock, functools.partial(decode, kit), letters, Hurry(2)).take(FakeSource(world, {}).poll(0))
    assert outbox.positions() == {}
    assert world.committed == 0


def test_intake_reads_again_from_the_offsets_of_an_outbox_that_is_behind(
    outbox: Outbox, world: World, kit: Any, clock: Any
) -> None:
    away: Any = AwayOutbox(outbox, 1, OutboxBehindError("the outbox is at offset 0 and was at 3 before"))
    source = FakeSource(world, {})
    rewound = intake(away, world, clock, functools.partial(decode, kit), FakeDeadLetters(world), Hurry(100), source)
    source.poll(0)
    rewound.take(source.poll(0))
    assert (outbox.positions(), world.committed) == ({}, 0)
    while messages := source.poll(0):
        rewound.take(messages)
    assert outbox.positions() == {kit.PARTITION: len(LOG)}


def test_no_offset_is_passed_before_the_dead_letter_is_acknowledged(
    outbox: Outbox, world: World, kit: Any, clock: Any
) -> None:
    world.log = [b"garbage", b"a raised"]
    letters = FakeDeadLetters(world, failures=1000)
    messages = FakeSource(world, {}).poll(0)
    intake(outbox, world, clock, lambda value: decode(kit, value), letters, Hurry(stop_after=2)).take(messages)
    assert outbox.positions() == {}
    letters = FakeDeadLetters(world, failures=2)
    intake(outbox, world, clock, lambda value: decode(kit, value), letters, Hurry(stop_after=100)).take(messages)
    assert world.letters == [0]
    assert outbox.positions() == {kit.PARTITION: 2}


def test_an_internal_error_becomes_a_dead_letter_not_a_crash_loop(
    outbox: Outbox, world: World, kit: Any, clock: Any
) -> None:
    def decoder(value: bytes | None) -> dict[str, Any]:
        record: dict[str, Any] = kit.record("a")
        del record["measures"]
        return record

    intake(outbox, world, clock, decoder, FakeDeadLetters(world), Hurry(2)).take(FakeSource(world, {}).poll(0)[:1])
    assert world.letters == [0]
    assert outbox.positions() == {kit.PARTITION: 1}


def test_a_dead_letter_fits_its_schema_and_holds_no_card_number() -> None:
    value = b"\x00junk 4111111111111111\xff"
    message = ReceivedMessage("alerts.v1", 0, 7, b"4111 1111 1111 1111", value, (("h", b"x"),), 5)
    error = RefusedError(Reason.UNDECODABLE_AVRO, "not a record: b'4111111111111111'")
    letter = refuse(message, error, refused_at=9).record
    assert validate(letter, parsed_schema("dead_letter"))
    assert letter["redacted"] is True
    assert letter["value"] == b"\x00junk ****************\xff"
    assert (letter["source_topic"], letter["source_partition"], letter["source_offset"]) == ("alerts.v1", 0, 7)
    assert find_card_numbers(repr(letter)) == []


@every_row("case", [*TEXT_CASES, *BINARY_CASES])
def test_dead_letters_pass_the_shared_masking_cases(case: MaskingCase) -> None:
    known = case.structure is Structure.TEXT
    key = case.original if known else None
    headers = ((case.original.decode(), None), ("h", case.original)) if known else ()
    message = ReceivedMessage("alerts.v1", 0, 7, key, case.original, headers)
    reason = Reason.INVALID_STATUS if known else Reason.UNDECODABLE_AVRO
    letter = refuse(message, RefusedError(reason, "no"), refused_at=9).record
    assert (letter["value"], letter["redacted"]) == (case.masked, case.changes)
    if known:
        assert letter["key"] == case.masked
        assert [(h["name"], h["value"]) for h in letter["headers"]] == [
            (case.masked.decode(), None),
            ("h", case.masked),
        ]


def test_a_dead_letter_keeps_bytes_unchanged() -> None:
    message = ReceivedMessage("alerts.v1", 0, 7, None, bytes(range(256)))
    letter = refuse(message, RefusedError(Reason.UNDECODABLE_AVRO, "no"), refused_at=9).record
    assert (letter["value"], letter["key"], letter["redacted"]) == (bytes(range(256)), None, False)
