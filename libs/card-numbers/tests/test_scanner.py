"""What counts as a card number: disguises, harmless identifiers, and the time that the search takes."""

import base64
import random
import re
import time
from typing import Any
from uuid import UUID

import pytest
from cardwatch_card_numbers.check_digits import LuhnSums, luhn_valid
from cardwatch_card_numbers.exemptions import IDENTIFIER_FIELDS, is_exempt
from cardwatch_card_numbers.issuers import ISSUER_RANGES
from cardwatch_card_numbers.scanner import find_card_numbers, holds_card_number, scan
from cardwatch_card_numbers.sensitive_names import is_sensitive_name
from cardwatch_card_numbers.testing import (
    CARD_NUMBER,
    DISGUISES,
    ENCODED_DISGUISES,
    HARMLESS,
    ISSUED_NUMBERS,
    NUMERIC_IDENTIFIERS,
    REFUSED_IDENTIFIERS,
    make_card_number,
)
from hypothesis import given
from hypothesis import strategies as st
from support.rows import every_row

ALL_DISGUISES = DISGUISES | ENCODED_DISGUISES


@every_row("text", ALL_DISGUISES.values())
def test_a_disguised_card_number_is_found(text: str) -> None:
    assert holds_card_number(text)
    assert holds_card_number(f"x{text}y {text}")
    assert find_card_numbers(text)


@pytest.mark.parametrize("text", HARMLESS, ids=repr)
def test_nothing_is_found_in_harmless_text(text: str) -> None:
    assert not holds_card_number(text)
    assert scan(text) == []


@pytest.mark.parametrize("number", ISSUED_NUMBERS.values(), ids=ISSUED_NUMBERS)
def test_the_test_numbers_end_in_their_check_digit(number: str) -> None:
    assert luhn_valid(number)


def test_every_range_counts_with_each_of_its_lengths() -> None:
    draw = random.Random(20)
    for issuer in ISSUER_RANGES:
        for length in issuer.lengths:
            for prefix in (issuer.first, issuer.last):
                number = make_card_number(draw, prefix, length)
                assert find_card_numbers(number) == [number], issuer


def test_ranges_are_written_with_prefixes_of_one_length() -> None:
    for issuer in ISSUER_RANGES:
        assert len(issuer.first) == len(issuer.last), issuer
        assert issuer.first <= issuer.last, issuer


@pytest.mark.parametrize("prefix", ["0", "1234", "7", "9", "2100", "2219", "2721", "31", "64"])
def test_prefixes_of_no_issuer(prefix: str) -> None:
    # Zeros follow, of which no window begins with an issuer's prefix.
    assert not any(holds_card_number(make_card_number(Zeros(), prefix, length)) for length in range(13, 20))


class Zeros(random.Random):
    def choices(self, population: Any, *_: Any, k: int = 1, **__: Any) -> list[Any]:
        return [population[0]] * k


def test_visa_numbers_of_13_digits_count_where_no_digit_touches_them() -> None:
    assert holds_card_number("tx-4222222222222 123")
    assert holds_card_number("4222 2222 2222 2")
    assert not holds_card_number("42222222222221")


def test_what_stands_beside_a_number_is_found_with_it() -> None:
    assert find_card_numbers("pay 4111 1111 1111 1111 12/25 123 now") == ["4111 1111 1111 1111 12/25 123"]


def test_uuids_do_not_count_as_card_numbers() -> None:
    draw = random.Random(5)
    assert not any(holds_card_number(str(UUID(int=draw.getrandbits(128), version=4))) for _ in range(30_000))


def test_tokens_do_not_count_as_card_numbers() -> None:
    draw = random.Random(5)
    assert not any(holds_card_number(f"x:{draw.getrandbits(128):032x}") for _ in range(30_000))


digits = st.integers(0, 2**20).map(lambda seed: random.Random(seed))


@given(draw=digits, around=st.tuples(st.text(max_size=8), st.text(max_size=8)), by=st.sampled_from(["", " ", "-", "."]))
def test_a_card_number_is_found_in_any_text(draw: random.Random, around: tuple[str, str], by: str) -> None:
    issuer = draw.choice(ISSUER_RANGES)
    number = make_card_number(draw, draw.choice((issuer.first, issuer.last)), draw.choice(issuer.lengths))
    written = by.join(re.findall(".{1,4}", number))
    assert holds_card_number(around[0] + written + around[1])


@given(st.text())
def test_asking_and_scanning_agree(text: str) -> None:
    assert holds_card_number(text) == bool(scan(text))


@given(st.text(alphabet="0123456789 -.,%u\\x34&#;=^BDcv\u00a0\uff14", max_size=120))
def test_asking_and_scanning_agree_on_digits(text: str) -> None:
    assert holds_card_number(text) == bool(scan(text))
    for start, end, _ in scan(text):
        assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    ("name", "value", "exempt"),
    [
        ("event_time", "1620000000000000", True),
        ("event_time", "16200000000000001", False),
        ("latitude", "4.111111111111111", True),
        ("latitude", "411.1111111111111", False),
        ("card_token", CARD_NUMBER * 2, True),
        ("card_token", CARD_NUMBER, False),
        ("transaction_id", f"0{CARD_NUMBER}000", True),
        ("transaction_id", f"{CARD_NUMBER}0000", False),
        ("merchant_id", f"0000{CARD_NUMBER}", False),
        ("device_id", f"00{CARD_NUMBER}", False),
        ("transaction_id", "24692160000390000000000", True),  # an acquirer reference number
        ("transaction_id", "24692160000390000000001", False),
        ("note", f"0{CARD_NUMBER}000", False),
        *(("transaction_id", identifier, True) for identifier in NUMERIC_IDENTIFIERS if holds_card_number(identifier)),
        *(("note", identifier, False) for identifier in NUMERIC_IDENTIFIERS if holds_card_number(identifier)),
        *(("merchant_id", identifier, False) for identifier in REFUSED_IDENTIFIERS),
    ],
)
def test_values_of_our_own_fields(name: str, value: str, exempt: bool) -> None:
    assert holds_card_number(value)
    assert is_exempt(name, value) is exempt


def test_a_tenth_of_the_ranges_share_of_numeric_identifiers_is_refused() -> None:
    # Of the first four digits of all numbers, 30% and 41% are of issuers with that length; one in ten check digits is
    # right. Before, every 13 to 19 neighbouring digits counted: 27% and 6%.
    draw = random.Random(20)
    for length, most in ((19, 0.04), (18, 0.04), (16, 0.05)):
        identifiers = [f"{draw.randrange(10**length):0{length}d}" for _ in range(5000)]
        refused = sum(holds_card_number(text) and not is_exempt("transaction_id", text) for text in identifiers)
        assert 0.02 < refused / len(identifiers) < most, length


@given(draw=digits, name=st.sampled_from(sorted(IDENTIFIER_FIELDS)))
def test_a_card_number_is_no_identifier(draw: random.Random, name: str) -> None:
    issuer = draw.choice(ISSUER_RANGES)
    number = make_card_number(draw, draw.choice((issuer.first, issuer.last)), draw.choice(issuer.lengths))
    assert not is_exempt(name, number)
    assert not is_exempt(name, number.zfill(19))


def test_words_on_several_lines_are_not_encoded_text() -> None:
    assert scan("The quick brown fox jumps over the lazy dog,\nand the lazy\r\ndog\ndoes not mind at all") == []


LONG_TEXTS = {
    "digits": "7919" * 16,
    "digits that no issuer has": "7",
    "digits that every issuer has": "4",
    "runs just too short": "123456789012x",
    "numbers": "4000000000000001 ",
    "separators": "1" + " " * 8,
    "too many separators": "1" + " " * 9,
    "percent": "%",
    "percent-encoded": "%34",
    "percent-encoded twice": "%2534",
    "escapes": "\\u0034",
    "entities": "&#52;",
    "full-width": "\uff17",
    "no-break spaces": "7\u00a0",
    "base64": "Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3",
    "base64 words": "Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3 ",
    "base64 in lines": "Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3\r\n",
    "a letter per line": "N\n",
    "line breaks": "\n",
    "line breaks as JSON has them": "\\n",
    "blanks and line breaks": "x" + " " * 50 + "\n",
    "base64 of base64": base64.b64encode(base64.b64encode(b"7" * 24)).decode(),
    "base64 of printable text": "eHh4",
    "base32": "GQYTCMJRGEYTCMJRGEYTCMJR",
    "base32 words": "GQYTCMJRGEYTCMJRGEYTCMJRGE====== ",
    "digits and commas": "7,",
    "digits and other marks": "7,;",
    "security codes": "cvv ",
    "track 1": "%B4111111111111111^",
    "track 2": ";4111111111111111=",
    "hexadecimal": "0123456789abcdef",
    "digits in hexadecimal": "37",
    "UUIDs": "12345678-1234-1234-1234-12345678901a ",
    "digits and hyphens": "1-",
    "groups": "4111,",
    "zero bytes": "\x00",
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_time_is_proportional_to_the_length(text: str) -> None:
    seconds = {}
    for size in (16 * 1024, 256 * 1024):
        long_text = (text * (size // len(text) + 1))[:size]
        started = time.process_time()
        scan(long_text)
        seconds[size] = time.process_time() - started
    # Measured: at most 0.02 and 0.3 s. Quadratic time would be 256 times as long.
    assert seconds[256 * 1024] < 60 * max(seconds[16 * 1024], 0.02)


def test_the_number_of_windows_is_proportional_to_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = 0
    valid = LuhnSums.valid

    def count(sums: LuhnSums, start: int, end: int) -> bool:
        nonlocal checked
        checked += 1
        return valid(sums, start, end)

    monkeypatch.setattr(LuhnSums, "valid", count)
    # 4 and 5 are prefixes everywhere; the sum of none of these windows ends in 0.
    for size in (1000, 64 * 1024):
        checked = 0
        scan("4" * size)
        assert checked <= 7 * size


@pytest.mark.parametrize(
    "name",
    ["cvv", "CVV", "cvv2", "cardCvv", "card.cvv", "cvc-code", "cid", "csc", "security_code", "securityCode", "track1",
     "track_1", "Track2Data", "trackdata", "track2EquivalentData", "pin", "PIN", "pinBlock", "pin_block",
     "magneticStripe",
     "cardVerificationValue", "verification_code", "pvv", "iCVV", "dCVV2"],
)  # fmt: skip
def test_names_of_what_is_never_kept(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "card_token", "card_bin", "merchant_id", "spin", "pinned", "cidr", "client_id", "tracking_number", "track",
     "race_track", "event_time", "currency", "postcode", "soundtrack", "discount_code", "x" * 10_000],
)  # fmt: skip
def test_names_of_other_fields(name: str) -> None:
    assert not is_sensitive_name(name)
