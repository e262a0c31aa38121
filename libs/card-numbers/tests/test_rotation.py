"""Which of a card's two tokens is its token."""

from typing import Any

import pytest
from cardwatch_card_numbers.rotation import TokenRotation

ROTATION = TokenRotation("k1", "k2", switch_us=1_000)


def record(token: str, key_id: str, other: str | None, other_key_id: str | None, at: int) -> dict[str, Any]:
    return {
        "event_time": at,
        "card_token": token,
        "card_token_key_id": key_id,
        "other_card_token": other,
        "other_card_token_key_id": other_key_id,
    }


@pytest.mark.parametrize(
    ("at", "token", "other"), [(0, "a", "b"), (999, "a", "b"), (1_000, "b", "a"), (5_000, "b", "a")]
)
def test_the_event_time_decides_whichever_comes_first(at: int, token: str, other: str) -> None:
    keys = {"a": "k1", "b": "k2"}
    expected = record(token, keys[token], other, keys[other], at)
    assert ROTATION.in_order(record("a", "k1", "b", "k2", at)) == expected
    assert ROTATION.in_order(record("b", "k2", "a", "k1", at)) == expected


@pytest.mark.parametrize("at", [0, 5_000])
@pytest.mark.parametrize("tokens", [("a", "k1", None, None), ("a", "p1", None, None), ("a", "p1", "b", "p2")])
def test_a_transaction_with_one_token_or_of_other_keys_stays_as_it_is(tokens: Any, at: int) -> None:
    assert ROTATION.in_order(record(*tokens, at)) == record(*tokens, at)


def test_when_one_key_is_left_its_token_comes_first() -> None:
    # A dead letter of the rotation that is sent again after it.
    assert TokenRotation("k2").in_order(record("a", "k1", "b", "k2", 0)) == record("b", "k2", "a", "k1", 0)
