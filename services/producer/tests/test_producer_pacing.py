"""Pacing and the loop around it, by a clock that only moves when somebody waits."""

import math
from typing import NamedTuple

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import TRANSACTIONS_RAW
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_producer.pacing import Pacer
from cardwatch_producer.sending import send_all
from cardwatch_producer.units import parse_seconds, parse_speed, parse_time


class FakeTime:
    def __init__(self, stop_at: float = math.inf) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self._stop_at = stop_at

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return self.now >= self._stop_at


def test_waits_until_the_offset_in_slices_and_lets_the_client_work_between_them() -> None:
    time = FakeTime()
    between: list[float] = []
    pacer = Pacer(wait=time.wait, on_wait=lambda: between.append(time.now), clock=time.clock)
    assert pacer.until(1.0)
    assert time.now == pytest.approx(101.0, abs=0.002)
    assert max(time.waits) <= 0.1
    assert len(between) == len(time.waits) >= 10


def test_does_not_wait_for_what_is_already_late() -> None:
    time = FakeTime()
    pacer = Pacer(wait=time.wait, clock=time.clock)
    time.now += 5
    assert pacer.until(4.9)
    assert time.waits == []


def test_a_stop_ends_the_wait() -> None:
    time = FakeTime(stop_at=100.5)
    assert not Pacer(wait=time.wait, clock=time.clock).until(3600.0)
    assert time.now < 101


class Item(NamedTuple):
    send_at: float


class FakeSink:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def send(self, message: OutgoingMessage) -> None:
        self.values.append(message.value)


def send(times: list[float], time: FakeTime) -> tuple[bool, list[bytes | None], int]:
    sink = FakeSink()
    sent: list[Item] = []
    complete = send_all(
        [Item(at) for at in times],
        encode=lambda item: [OutgoingMessage(TRANSACTIONS_RAW.name(), b"", str(item.send_at).encode())],
        sink=sink,
        pacer=Pacer(wait=time.wait, clock=time.clock),
        stopped=lambda: False,
        sent=sent.append,
    )
    return complete, sink.values, len(sent)


def test_everything_is_sent_at_its_time() -> None:
    time = FakeTime()
    assert send([0.0, 0.5, 2.0], time) == (True, [b"0.0", b"0.5", b"2.0"], 3)
    assert time.now == pytest.approx(102.0, abs=0.002)


def test_nothing_is_sent_after_a_stop() -> None:
    assert send([0.0, 0.5, 60.0], FakeTime(stop_at=110.0)) == (False, [b"0.0", b"0.5"], 2)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1.5h", 5400), ("7d", 604_800), ("500ms", 0.5), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds("--duration", text) == seconds


@pytest.mark.parametrize("text", ["", "5y", "-1s", "1h30m", "soon"])
def test_wrong_durations_are_named(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"--duration: expected a duration such as 500ms, 60s, 1\.5h or 7d, got"
    ):
        parse_seconds("--duration", text)


def test_speeds() -> None:
    assert (parse_speed("60x"), parse_speed("0.5x"), parse_speed("max")) == (60.0, 0.5, math.inf)
    for text in ("60", "0x", "fast"):
        with pytest.raises(ConfigurationError, match="expected a speed"):
            parse_speed(text)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time("--start-time", "1970-01-01T00:00:01") == 1_000_000
    assert parse_time("--start-time", "1970-01-01T01:00:01+01:00") == 1_000_000
    with pytest.raises(ConfigurationError, match="--start-time: expected an ISO 8601 time"):
        parse_time("--start-time", "yesterday")
