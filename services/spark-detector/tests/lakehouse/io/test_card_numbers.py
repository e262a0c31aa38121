"""What bronze masks, and what it leaves alone."""

import json

import pyarrow as pa
import pytest
from cardwatch_contracts.cards import find_card_numbers
from cardwatch_detector.lakehouse.io.card_numbers import mask, mask_json, redact_message, redact_messages
from hypothesis import given
from hypothesis import strategies as st

CARD = "4111111111111111"  # published test number
HIDDEN = "*" * 16


def message(value: bytes | None, *, is_json: bool = True, key: bytes | None = None) -> dict[str, object]:
    return {"key": key, "value": value, "headers": None, "is_json": is_json}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (CARD, HIDDEN),
        ("4111 1111-1111 1111", "**** ****-**** ****"),
        # A check code or an expiry date behind the number makes one longer run of it.
        (f"{CARD} 123", f"{HIDDEN} 123"),
        (f"card {CARD} 12/27", f"card {HIDDEN} 12/27"),
        (f"001-{CARD}", f"001-{HIDDEN}"),
        # Not Luhn-valid, too short, too long, part of a word.
        ("4111111111111112", "4111111111111112"),
        ("411111111111", "411111111111"),
        (CARD + "0000", CARD + "0000"),
        (f"a{CARD}", f"a{CARD}"),
        (f"{CARD}f", f"{CARD}f"),
        # Between other groups it is not the word's neighbour.
        (f"a1 {CARD}", f"a1 {HIDDEN}"),
    ],
)
def test_masks_card_numbers_that_stand_by_themselves(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(st.text(alphabet="0123456789 -a\n\x00é", max_size=60))
def test_leaves_nothing_that_the_contract_calls_a_card_number(text: str) -> None:
    assert not find_card_numbers(mask(text))
    assert len(mask(text)) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"event_time": 1795478400000001, "amount_minor": 1200}',
        '{"latitude": 52.52000712345674}',
        '{"card_token":"aaaaaaaaaaaaaaaa4111111111111111"}',
    ],
)
def test_json_keeps_what_is_a_card_number_by_chance_only(text: str) -> None:
    # Each of these was chosen so that masking would change it were it not known to be harmless.
    assert mask_json(text) == text


def test_the_kept_examples_would_be_masked_elsewhere() -> None:
    for text in ("1795478400000001", "52000712345674", f"aaaaaaaaaaaaaaa{CARD}"):
        assert mask_json(text) != text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f'{{"card_number":"{CARD}"}}', f'{{"card_number":"{HIDDEN}"}}'),
        (f'{{"card_number": {CARD}, "amount_minor": 5}}', f'{{"card_number": {HIDDEN}, "amount_minor": 5}}'),
        # Mistyped it is still nearly a card number.
        ('{"card_number":"4111111111111112"}', f'{{"card_number":"{HIDDEN}"}}'),
        (f'{{"note":"\\n{CARD}"}}', f'{{"note":"\\n{HIDDEN}"}}'),
        (f'{{"event_time": {CARD}}}', f'{{"event_time": {HIDDEN}}}'),
        ('{"note":"' + "".join(f"\\u003{digit}" for digit in CARD) + '"}', f'{{"note":"{HIDDEN}"}}'),
        (f'{{"card_number":"{CARD}', f'{{"card_number":"{HIDDEN}'),
    ],
)
def test_json_masks_card_numbers_however_they_are_written(text: str, masked: str) -> None:
    assert mask_json(text) == masked


def test_bytes_that_are_not_utf_8_survive() -> None:
    value = b"\x00\xff\xfe " + CARD.encode() + b"\xe9"
    assert redact_message(message(value, is_json=False))["value"] == b"\x00\xff\xfe " + HIDDEN.encode() + b"\xe9"


def test_key_and_headers_are_masked_too_and_it_is_said() -> None:
    redacted = redact_message(
        {"key": CARD.encode(), "value": None, "headers": [{"key": "pan", "value": CARD.encode()}], "is_json": True}
    )
    assert redacted == {
        "key": HIDDEN.encode(),
        "value": None,
        "headers": [{"key": "pan", "value": HIDDEN.encode()}],
        "redacted": True,
    }


def test_an_unchanged_message_is_not_called_redacted() -> None:
    value = json.dumps({"event_time": 1795478400000001}).encode()
    assert redact_message(message(value, key=b"k")) == {
        "key": b"k",
        "value": value,
        "headers": None,
        "redacted": False,
    }


def test_an_arrow_array_keeps_its_nulls() -> None:
    messages = pa.array([None, message(CARD.encode()), message(None)])
    assert [row and (row["value"], row["redacted"]) for row in redact_messages(messages).to_pylist()] == [
        None,
        (HIDDEN.encode(), True),
        (None, False),
    ]
