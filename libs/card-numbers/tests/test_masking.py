"""Which digits are masked and which are kept."""

import time
from functools import partial

import pytest
from cardwatch_card_numbers.detection import find_card_numbers
from cardwatch_card_numbers.masking import (
    mask_bytes,
    mask_json,
    mask_strings,
    mask_suspicious_text,
    mask_text,
    mask_undecodable,
)
from cardwatch_card_numbers.scanner import find_anywhere, find_embedded, find_standalone
from cardwatch_card_numbers.testing import (
    ALL_CASES,
    CARD_NUMBER,
    MASKED,
    TRANSACTION_FIELDS,
    MaskingCase,
    Structure,
)
from hypothesis import given
from hypothesis import strategies as st

CARD_LIKE = st.text(alphabet="0123456789 -.a\n\x00é", max_size=60)


MASK_BY_STRUCTURE = {
    Structure.TEXT: mask_bytes,
    Structure.JSON: partial(mask_json, known_fields=TRANSACTION_FIELDS),
    Structure.UNDECODABLE: mask_undecodable,
}


@pytest.mark.parametrize("case", ALL_CASES, ids=repr)
def test_masking_cases(case: MaskingCase) -> None:
    mask = MASK_BY_STRUCTURE[case.structure]
    assert mask(case.original) == case.masked
    assert mask(case.masked) == case.masked, "masking again changes nothing"


def test_the_kept_examples_would_be_masked_in_other_fields() -> None:
    for text in ("1795478400000001", "1795478400009", "52000712345674", f"aaaaaaaaaaaaaaa{CARD_NUMBER}"):
        assert mask_json(text.encode()) != text.encode()


@given(CARD_LIKE)
def test_leaves_nothing_that_counts_as_a_card_number(text: str) -> None:
    for masked in (mask_text(text), mask_suspicious_text(text)):
        assert not find_card_numbers(masked)
        assert len(masked) == len(text)


def digits_in(text: str, spans: list[tuple[int, int]]) -> set[int]:
    return {place for start, end in spans for place in range(start, end) if text[place].isdigit()}


@given(st.text(alphabet="0123456789 -.\n", max_size=80))
def test_each_degree_of_suspicion_includes_the_previous_one(text: str) -> None:
    found = [digits_in(text, find(text)) for find in (find_standalone, find_embedded, find_anywhere)]
    assert found[0] <= found[1] <= found[2]
    shapes = [text.index(number) for number in find_card_numbers(text)]
    assert set(shapes) <= found[0]


def test_a_record_keeps_all_but_the_card_numbers_in_its_texts() -> None:
    value = f"\x00\x24id {CARD_NUMBER}.\x10{CARD_NUMBER[:8]}".encode()
    assert mask_strings(value, [f"id {CARD_NUMBER}.", CARD_NUMBER[:8]]) == value.replace(
        CARD_NUMBER.encode(), MASKED.encode()
    )


def test_a_longer_number_is_masked_to_its_end_though_a_part_of_it_is_one_as_well() -> None:
    longer = "6795-3520-9556-9068-3"
    assert find_standalone(longer) == [(0, 19), (0, 21)]
    for strings in ([longer], [longer, longer[:19]], [longer[:19], longer]):
        assert mask_strings(f"\x2a{longer}".encode(), strings) == b"\x2a****-****-****-****-*"


def test_a_token_is_not_masked_for_its_digits() -> None:
    token = "4111111111111111abcdef0123456789"
    assert mask_suspicious_text(f"x {token} y") == f"x {token} y"
    assert mask_suspicious_text(f"x {CARD_NUMBER} y") == f"x {MASKED} y"


@pytest.mark.parametrize(
    "text",
    ["7" * 300_000, "7" * 255 + "x", "4111 " * 5, "a" * 15 + "1" * 17 + " ", '{"card_number":"', "\\u0034", '"a",1,'],
)
def test_time_is_proportional_to_the_length(text: str) -> None:
    value = (text * (300_000 // len(text) + 1)).encode()
    for mask in (mask_bytes, mask_undecodable, mask_json):
        started = time.process_time()
        mask(value)
        assert time.process_time() - started < 5.0


def test_a_message_of_digits_only_is_masked() -> None:
    assert set(mask_suspicious_text("7" * 300_000)) == {"*"}


def test_thousands_of_card_numbers_in_one_decoded_text_take_no_quadratic_time() -> None:
    text = " ".join(str(4_000_000_000_000_000 + number) for number in range(50_000))
    started = time.process_time()
    masked = mask_strings(b"\x02" + text.encode() + b"\x04", [text])
    assert time.process_time() - started < 6
    assert len(masked) == len(text) + 2
    assert not find_card_numbers(masked.decode("latin-1"))


def test_numbers_in_decoded_text_that_overlap_are_masked() -> None:
    text = "4111 1111 1111 1111 0028"  # the first four groups, and the last four
    assert mask_strings(b"\x02" + text.encode(), [text]) == b"\x02**** **** **** **** ****"
