"""Suppression: timelines drawn by hand, and the oracle against the definition spelled out over whole histories."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pyarrow as pa
import pytest
from cardwatch_oracle import OracleError, expected_alerts
from support.random_examples import some_of

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_795_521_600 * SECOND  # 2026-11-24 12:00 UTC
NAMESPACE = UUID("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11")

# (event time in microseconds, transaction id) of a hit, the order within a key
Hit = tuple[int, str]


@pytest.fixture
def rule_file(tmp_path: Path) -> "RuleFile":
    return RuleFile(tmp_path / "rules.yaml")


class RuleFile:
    """Writes a file with one rule, whose hits are the transactions with an amount above 0."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, suppress: Any, **fields: Any) -> Path:
        rule = {"id": "r", "scope": "card", "when": "amount_minor > 0", "suppress": suppress} | fields
        self.path.write_text(json.dumps([rule]))  # JSON is YAML
        return self.path


def payment(transaction_id: str, event_time: int, card: str = "c1", amount_minor: int = 1) -> dict[str, Any]:
    return {
        "transaction_id": transaction_id,
        "event_time": event_time,
        "card_token": card,
        "amount_minor": amount_minor,
    }


def told(payments: Sequence[dict[str, Any]], rules: Path) -> dict[str, str | None]:
    """Each hit's transaction, in order, and the one whose alert it is counted on; None where it raises one."""
    alerts = expected_alerts(pa.Table.from_pylist(list(payments)), rules).to_pylist()
    transactions = {alert["alert_id"]: alert["transaction_id"] for alert in alerts}
    for alert in alerts:
        assert alert["status"] == ("suppressed" if alert["suppressed_by"] else "raised")
    return {alert["transaction_id"]: transactions.get(alert["suppressed_by"]) for alert in alerts}


def at(clock: str) -> int:
    """A time on the day of the timelines, such as 12:01 or 12:01:30, in microseconds."""
    hours, minutes, seconds = [*map(int, clock.split(":")), 0][:3]
    return NOON + ((hours - 12) * 3_600 + minutes * 60 + seconds) * SECOND


def timeline(*clocks: str) -> list[dict[str, Any]]:
    return [payment(clock, at(clock)) for clock in clocks]


def test_the_timeline_of_the_reference(rule_file: RuleFile) -> None:
    # S = 10m       [12:00     12:10)              [12:20     12:30)
    # hits             01  05  09  13  17  21  25  29
    #                  └ opens             └ repeats: goes on since 12:11, first in this slot
    payments = timeline("12:01", "12:05", "12:09", "12:13", "12:17", "12:21", "12:25", "12:29")
    assert told(payments, rule_file("10m")) == {
        "12:01": None, "12:05": "12:01", "12:09": "12:01", "12:13": "12:01", "12:17": "12:01",
        "12:21": None, "12:25": "12:21", "12:29": "12:21",
    }  # fmt: skip


def test_a_young_attack_repeats_late_in_its_slot(rule_file: RuleFile) -> None:
    # S = 10m            [12:20          12:30)           [12:40 …
    # hits        12:17  12:21  12:26 12:27 12:29  12:36  12:41
    #             opens               └ goes on since 12:27: the first such hit of the slot, not the first hit
    payments = timeline("12:17", "12:21", "12:26", "12:27", "12:29", "12:36", "12:41")
    assert told(payments, rule_file("10m")) == {
        "12:17": None, "12:21": "12:17", "12:26": "12:17", "12:27": None, "12:29": "12:27", "12:36": "12:27",
        "12:41": None,
    }  # fmt: skip


def test_slots_are_closed_at_their_start_and_open_at_their_end(rule_file: RuleFile) -> None:
    # S = 10m     [12:20      12:30)      [12:40
    # hits         20    25    30    35    40
    #              opens       └ goes on, in no slot
    payments = timeline("12:20", "12:25", "12:30", "12:35", "12:40")
    assert told(payments, rule_file("10m")) == {
        "12:20": None, "12:25": "12:20", "12:30": "12:20", "12:35": "12:20", "12:40": None,
    }  # fmt: skip


def test_an_attack_goes_on_from_exactly_s_after_it_opened(rule_file: RuleFile) -> None:
    # S = 10m             [12:20                12:30)
    # hits         12:12   12:21:59.999999 12:22
    #              opens   └ not yet       └ repeats
    payments = [*timeline("12:12", "12:22"), payment("early", at("12:22") - 1)]
    assert told(payments, rule_file("10m")) == {"12:12": None, "early": "12:12", "12:22": None}


def test_quiet_is_counted_from_the_last_hit_and_its_end_is_open(rule_file: RuleFile) -> None:
    # a       b         c      b is S − 1 µs after a, c is S after b: b is suppressed, c opens
    payments = [payment("a", NOON), payment("b", NOON + 10 * MINUTE - 1), payment("c", NOON + 20 * MINUTE - 1)]
    assert told(payments, rule_file("10m")) == {"a": None, "b": "a", "c": None}


def test_of_equal_times_the_first_id_raises(rule_file: RuleFile) -> None:
    payments = [payment("t9", NOON), payment("t10", NOON), payment("t1", NOON)]
    assert told(payments, rule_file("10s")) == {"t1": None, "t10": "t1", "t9": "t1"}


def test_transactions_that_are_not_hits_do_not_count(rule_file: RuleFile) -> None:
    # a    x    b              x does not satisfy `when`: the key has been quiet since a
    payments = [payment("a", NOON), payment("x", NOON + 5 * MINUTE, amount_minor=0), payment("b", NOON + 10 * MINUTE)]
    assert told(payments, rule_file("10m")) == {"a": None, "b": None}


def test_keys_are_suppressed_apart(rule_file: RuleFile) -> None:
    payments = [payment("a", NOON), payment("b", NOON + 1, card="c2"), payment("c", NOON + 2)]
    assert told(payments, rule_file("10m")) == {"a": None, "b": None, "c": "a"}


def test_a_suppressed_alert_names_the_alert_that_it_is_counted_on(rule_file: RuleFile) -> None:
    payments = [payment("a", NOON), payment("b", NOON + 1)]
    raised, suppressed = expected_alerts(pa.Table.from_pylist(payments), rule_file("10m", version=3)).to_pylist()
    assert (raised["alert_id"], raised["status"], raised["suppressed_by"]) == (
        str(uuid5(NAMESPACE, "r|3|a")),
        "raised",
        None,
    )
    assert (suppressed["alert_id"], suppressed["status"], suppressed["suppressed_by"]) == (
        str(uuid5(NAMESPACE, "r|3|b")),
        "suppressed",
        raised["alert_id"],
    )


@pytest.mark.parametrize("suppress", ["soon", 10, "0s"])
def test_a_wrong_length_is_refused(rule_file: RuleFile, suppress: Any) -> None:
    with pytest.raises(OracleError, match=f"rule r: suppress {suppress!r}: expected a duration"):
        told([payment("a", NOON)], rule_file(suppress))


@dataclass
class Suppressions:
    """What each hit of one key is counted on, None where it raises, and which of them raise because they repeat."""

    by: dict[str, str | None]
    repeats: set[str]


def suppressions_by_definition(hits: Sequence[Hit], s: int) -> Suppressions:
    """Clause by clause; `s` in microseconds."""
    hits = sorted(hits)
    told = Suppressions({}, set())
    opening: list[Hit] = []
    may_repeat: list[Hit] = []
    raised: list[Hit] = []
    for position, (t, transaction_id) in enumerate(hits):
        opens = not any(earlier > t - s for earlier, _ in hits[:position])
        if opens:
            opening.append((t, transaction_id))
        goes_on = opening[-1][0] <= t - s
        slot, phase = divmod(t, 2 * s)
        if goes_on and phase < s:
            if not any(earlier // (2 * s) == slot for earlier, _ in may_repeat):
                told.repeats.add(transaction_id)
            may_repeat.append((t, transaction_id))
        if opens or transaction_id in told.repeats:
            raised.append((t, transaction_id))
            told.by[transaction_id] = None
        else:
            told.by[transaction_id] = raised[-1][1]
    return told


def random_payments(chance: random.Random, s: int, start: int) -> list[dict[str, Any]]:
    """Two cards' payments: ties, gaps up to S, some of S and more, and edges of S to the microsecond."""
    calm = chance.choice([0.02, 0.3])  # how often an attack pauses
    payments, t = [], start
    for name in chance.sample(range(1_000), k=chance.randrange(1, 120)):
        payments.append(payment(f"t{name}", t, chance.choice(["c1", "c1", "c1", "c2"]), chance.choice([0, 1, 1, 1])))
        pauses = chance.random() < calm
        t += chance.choice([s - 1, s, s + 1, chance.randrange(3 * s)] if pauses else [0, 1, s // 5, s // 3, s // 2])
    return payments


@pytest.mark.thorough
def test_oracle_equals_the_definition_over_long_attacks(rule_file: RuleFile) -> None:
    chance = random.Random(20261125)
    repeats = 0
    for _ in range(some_of(40)):
        seconds = chance.randrange(1, 8)
        s = seconds * SECOND
        payments = random_payments(chance, s, chance.choice([NOON, NOON + s, NOON + chance.randrange(s), -20 * s]))
        expected: dict[str, str | None] = {}
        for card in ("c1", "c2"):
            hits = sorted(
                (row["event_time"], row["transaction_id"])
                for row in payments
                if row["card_token"] == card and row["amount_minor"] > 0
            )
            of_card = suppressions_by_definition(hits, s)
            expected |= of_card.by
            repeats += len(of_card.repeats)
            # What the reference promises: one alert in any S, and 7·S of the past decide.
            alerts = [t for t, transaction_id in hits if of_card.by[transaction_id] is None]
            assert all(later - earlier >= s for earlier, later in pairwise(alerts))
            for t, transaction_id in hits:
                recent = suppressions_by_definition([hit for hit in hits if t - 7 * s < hit[0] <= t], s)
                assert recent.by[transaction_id] == of_card.by[transaction_id]
        chance.shuffle(payments)
        assert told(payments, rule_file(f"{seconds}s")) == expected
    assert repeats > some_of(100)
