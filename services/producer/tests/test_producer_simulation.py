"""The simulation is reproducible and keeps its rates and shares."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cardwatch_card_numbers.check_digits import luhn_valid
from cardwatch_card_numbers.scanner import find_card_numbers
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_producer.messages import MessageEncoder
from cardwatch_producer.simulation import Message, SimulationConfig, make_population, simulate

KEY = b"a key of the test suite"
START_US = 1_790_000_000_000_000
CONFIG = SimulationConfig(rate=100, seed=7, start_us=START_US, duration_seconds=30)


@cache
def run(config: SimulationConfig) -> list[Message]:
    return list(simulate(config, make_population(config, KEY, cards=20_000, merchants=5_000)))


def sent(config: SimulationConfig) -> list[OutgoingMessage]:
    encode = MessageEncoder(Encoder("transaction", 1), Encoder("transaction_label", 2))
    population = make_population(config, KEY, cards=20_000, merchants=5_000)
    return [outgoing for message in simulate(config, population) for outgoing in encode(message)]


def test_the_same_seed_sends_the_same_bytes_in_the_same_order() -> None:
    config = replace(CONFIG, late_fraction=0.1, duplicate_fraction=0.1, invalid_fraction=0.1, json_fraction=0.3)
    assert sent(config) == sent(config)


def test_another_seed_is_another_population() -> None:
    one, other = run(CONFIG), run(replace(CONFIG, seed=8))
    assert {m.record["card_token"] for m in one}.isdisjoint(m.record["card_token"] for m in other)


def test_another_start_with_the_same_seed_repeats_no_transaction_id() -> None:
    one, other = run(CONFIG), run(replace(CONFIG, start_us=START_US + 60_000_000))
    assert {m.record["transaction_id"] for m in one}.isdisjoint(m.record["transaction_id"] for m in other)


def test_delivery_and_format_do_not_change_the_transactions() -> None:
    def transactions(config: SimulationConfig) -> dict[str, dict[str, object]]:
        return {m.record["transaction_id"]: m.record for m in run(config)}

    unruly = replace(CONFIG, late_fraction=0.5, duplicate_fraction=0.5, json_fraction=0.5)
    assert transactions(unruly) == transactions(CONFIG)


def test_rate_times_duration_transactions_happen_evenly_until_the_end() -> None:
    messages = run(CONFIG)
    assert len(messages) == 3_000
    assert len({m.record["transaction_id"] for m in messages}) == 3_000
    seconds = Counter(int(m.send_at) for m in messages)
    assert seconds == dict.fromkeys(range(30), 100)
    assert [m.send_at for m in messages] == sorted(m.send_at for m in messages)
    assert all(m.record["event_time"] == START_US + int(m.send_at * 1_000_000) for m in messages)


def test_max_messages_counts_duplicates_and_ends_an_endless_simulation() -> None:
    config = replace(CONFIG, duration_seconds=math.inf, duplicate_fraction=0.2, max_messages=1_234)
    messages = run(config)
    assert len(messages) == 1_234
    assert any(m.duplicate for m in messages)


@pytest.mark.parametrize(
    ("field", "value", "counted"),
    [
        ("late_fraction", 0.1, lambda m: m.late),
        ("duplicate_fraction", 0.1, lambda m: m.duplicate),
        ("invalid_fraction", 0.1, lambda m: m.defect is not None),
        ("json_fraction", 0.4, lambda m: m.format == "json"),
    ],
)
def test_fractions_are_kept(field: str, value: float, counted: Callable[[Message], bool]) -> None:
    changed: dict[str, Any] = {field: value}
    config = replace(CONFIG, **changed)
    count = sum(counted(m) for m in run(config))
    # Four standard deviations of 3,000 draws.
    assert abs(count - 3_000 * value) < 4 * math.sqrt(3_000 * value * (1 - value))


def test_fraud_has_its_share_over_time() -> None:
    messages = run(replace(CONFIG, duration_seconds=120, fraud_fraction=0.05))
    fraud = [m for m in messages if m.label is not None]
    assert 0.03 < len(fraud) / len(messages) < 0.055
    assert all(m.label is not None and m.label["is_fraud"] and "#" in m.label["scenario"] for m in fraud)
    kinds = {str(m.episode).partition("#")[0] for m in fraud}
    assert kinds == {"velocity_burst", "card_testing", "impossible_travel", "account_takeover"}


def test_no_fraud_and_no_label_without_a_share_of_it() -> None:
    assert not any(m.label or m.episode for m in run(replace(CONFIG, fraud_fraction=0.0)))


def test_a_late_transaction_keeps_its_time_and_is_sent_before_the_end() -> None:
    config = replace(CONFIG, late_fraction=0.3, max_late_seconds=10.0)
    messages = run(config)
    delays = [m.send_at - (m.record["event_time"] - START_US) / 1e6 for m in messages]
    late = [delay for delay, m in zip(delays, messages, strict=True) if m.late]
    assert max(late) <= 10.0 + 1e-5
    assert sum(late) / len(late) > 3.0
    assert all(delay < 1e-5 for delay, m in zip(delays, messages, strict=True) if not m.late)
    assert all(m.send_at <= 30.0 for m in messages)
    assert [m.send_at for m in messages] == sorted(m.send_at for m in messages)


def test_a_duplicate_is_the_same_message_again_within_seconds_and_has_no_second_label() -> None:
    originals: dict[str, Message] = {}
    duplicates = 0
    for message in run(replace(CONFIG, duplicate_fraction=0.3, json_fraction=0.5, fraud_fraction=0.1)):
        identity = message.record["transaction_id"]
        if not message.duplicate:
            originals[identity] = message
            continue
        duplicates += 1
        original = originals[identity]
        assert message.record == original.record
        assert message.format == original.format
        assert message.send_at - original.send_at <= 5.0
        assert message.label is None
    assert duplicates > 100


def test_spoilt_messages_are_labelled_with_the_reason_and_are_never_fraud() -> None:
    messages = run(replace(CONFIG, invalid_fraction=0.3, fraud_fraction=0.1))
    for message in messages:
        if message.defect is not None:
            assert message.label == {
                "transaction_id": message.record["transaction_id"],
                "is_fraud": False,
                "scenario": None,
                "expected_refusal": message.defect.reason.value,
            }
            assert message.episode is None


def test_card_numbers_are_valid_and_unique_and_their_tokens_are_those_of_the_edge() -> None:
    numbers: dict[str, str] = {}
    for message in run(CONFIG):
        assert luhn_valid(message.card_number)
        identity = tokenise(message.card_number, KEY)
        assert identity == (
            message.record["card_token"],
            message.record["card_bin"],
            message.record["card_last_four"],
        )
        assert numbers.setdefault(identity[0], message.card_number) == message.card_number
    assert len(set(numbers.values())) == len(numbers)


def test_no_field_holds_anything_that_looks_like_a_card_number() -> None:
    for message in run(replace(CONFIG, fraud_fraction=0.2)):
        text = "\x1f".join(str(value) for name, value in message.record.items() if name != "event_time")
        assert find_card_numbers(text) == []


def test_ordinary_cardholders_do_not_pay_twice_within_three_minutes() -> None:
    messages = run(replace(CONFIG, rate=20, duration_seconds=400, fraud_fraction=0.0))
    times: dict[str, list[int]] = {}
    for message in messages:
        times.setdefault(message.record["card_token"], []).append(message.record["event_time"])
    gaps = [later - earlier for of_card in times.values() for earlier, later in itertools.pairwise(of_card)]
    assert min(gaps) >= 180 * 1_000_000


def test_people_are_awake_where_it_is_day() -> None:
    def share_of_europe(hour_utc: int) -> float:
        start = START_US // 86_400_000_000 * 86_400_000_000 + hour_utc * 3_600_000_000
        messages = run(replace(CONFIG, start_us=start, duration_seconds=10))
        europe = {"DE", "FR", "IT", "ES", "NL", "GB", "PL"}
        return sum(m.record["country"] in europe for m in messages) / len(messages)

    assert share_of_europe(11) > share_of_europe(3) + 0.1
