"""What is masked, what stays, and that nothing is left: in text, bytes and JSON."""

import json
import time
from typing import Any

import pytest
from cardwatch_card_numbers.avro_masking import AvroMasker
from cardwatch_card_numbers.exemptions import IDENTIFIER_FIELDS, is_exempt, parse_exempt_fields
from cardwatch_card_numbers.masking import mask_bytes, mask_header, mask_text
from cardwatch_card_numbers.scanner import find_card_numbers, holds_card_number, scan
from cardwatch_card_numbers.testing import (
    ALL_CASES,
    CARD_NUMBER,
    DISGUISES,
    KEPT_WHERE_EXEMPT,
    MASKED,
    NUMERIC_IDENTIFIERS,
    REFUSED_IDENTIFIERS,
    REFUSED_WHERE_EXEMPT,
    MaskingCase,
    Structure,
)
from hypothesis import example, given
from hypothesis import strategies as st
from support.random_examples import random_examples
from support.rows import every_row

PIECES = st.sampled_from(
    [
        *DISGUISES.values(),
        "1234",
        "cvv ",
        "123",
        "%34",
        "\\u0034",
        "a",
        " ",
        "-",
        "\x00",
        "\xe9",
        '"',
        "{",
        "}",
        ":",
        ",",
    ]
)
SUSPICIOUS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)


@every_row("case", ALL_CASES)
def test_masking_cases(case: MaskingCase) -> None:
    assert mask_bytes(case.original) == case.masked
    assert mask_bytes(case.masked) == case.masked, "masking again changes nothing"
    if case.structure is not Structure.JSON:
        assert len(case.masked) == len(case.original)


@given(SUSPICIOUS)
def test_what_is_kept_of_a_text_scans_clean(text: str) -> None:
    masked = mask_text(text)
    assert scan(masked) == []
    assert len(masked) == len(text)
    assert mask_text(masked) == masked
    assert (masked != text) == holds_card_number(text), "acceptance and masking decide alike"


@given(st.binary() | st.tuples(SUSPICIOUS.map(str.encode), st.binary(max_size=5)).map(b"".join))
def test_what_is_kept_of_bytes_scans_clean(value: bytes) -> None:
    masked = mask_bytes(value)
    assert mask_bytes(masked) == masked
    if value.lstrip()[:1] not in (b"{", b"[", b'"'):
        assert len(masked) == len(value)
        assert not holds_card_number(masked.decode("utf-8", "surrogateescape"))


NAMES = SUSPICIOUS | st.sampled_from(["cvv", "track2", "card_number", "event_time", "x"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SUSPICIOUS
DOCUMENTS = st.recursive(
    SCALARS | st.just(int(CARD_NUMBER)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            SUSPICIOUS | st.sampled_from(["cvv", "track2", "card_number", "event_time", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def scalars(document: Any) -> list[str]:
    """All names and scalars of a document, as text."""
    if isinstance(document, dict):
        return [text for name, value in document.items() for text in (name, *scalars(value))]
    if isinstance(document, list):
        return [text for value in document for text in scalars(value)]
    return [document if isinstance(document, str) else json.dumps(document)]


@random_examples(200)
@given(DOCUMENTS, st.booleans())
# Masking the first number leaves the digits of its exponent, which are part of another with the second.
@example([6.205091034557058e-255, 1.18193555738757e53], False)
def test_json_stays_json_and_scans_clean(document: Any, ascii_only: bool) -> None:
    value = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "replace")
    masked = mask_bytes(value)
    if not value.startswith((b"{", b"[", b'"')):  # a number by itself, such as a key, is text
        return
    found = json.loads(masked)
    assert mask_bytes(masked) == masked
    exempt = ("event_time", "latitude", "longitude", "card_token")
    if not any(name in value.decode() for name in exempt):
        assert not any(holds_card_number(text) for text in scalars(found))
    if isinstance(document, dict):
        assert len(found) == len(document)
        for name in ("cvv", "track2"):
            if document.get(name) not in (None, "", True, False):
                assert found[name] == "****"


IDENTIFIERS = st.from_regex(r"[0-9]{1,40}", fullmatch=True) | st.sampled_from(NUMERIC_IDENTIFIERS + REFUSED_IDENTIFIERS)


@given(
    name=st.sampled_from(sorted(IDENTIFIER_FIELDS)),
    identifier=IDENTIFIERS,
    quoted=st.booleans(),
    exempt=st.frozensets(st.sampled_from(sorted(IDENTIFIER_FIELDS))),
)
def test_an_identifier_is_masked_in_json_and_avro_if_it_is_refused(
    name: str, identifier: str, quoted: bool, exempt: frozenset[str]
) -> None:
    is_refused = holds_card_number(identifier) and not is_exempt(name, identifier, exempt)
    number = identifier.isascii() and identifier.isdigit() and not identifier.startswith("0") and not quoted
    value = f'{{"{name}": {identifier}}}'.encode() if number else json.dumps({name: identifier}).encode()
    masked = mask_bytes(value, exempt_fields=exempt)
    assert (masked != value) is is_refused
    assert mask_bytes(masked, exempt_fields=exempt) == masked
    schema = {"type": "record", "name": "Any", "fields": [{"name": name, "type": "string"}]}
    avro = bytes([2 * len(identifier.encode())]) + identifier.encode() if len(identifier.encode()) < 64 else None
    if avro is not None:
        found = AvroMasker(schema, exempt)(avro)
        assert (found != avro) is is_refused
        assert len(found) == len(avro)
        assert AvroMasker(schema, exempt)(found) == found


@pytest.mark.parametrize("identifier", [*KEPT_WHERE_EXEMPT, *REFUSED_WHERE_EXEMPT])
@pytest.mark.parametrize("name", sorted(IDENTIFIER_FIELDS))
def test_numbers_in_exempt_fields_are_kept_and_everything_else_is_searched(name: str, identifier: str) -> None:
    exempt = frozenset({name})
    is_kept = identifier in KEPT_WHERE_EXEMPT
    assert is_exempt(name, identifier, exempt) is is_kept
    value = json.dumps({name: identifier}).encode()
    assert (mask_bytes(value, exempt_fields=exempt) == value) is is_kept
    for other in (IDENTIFIER_FIELDS - exempt) | {"ip_address", "note", "card_number"}:
        assert is_exempt(other, identifier, exempt) is is_exempt(other, identifier)
    assert mask_bytes(identifier.encode(), exempt_fields=exempt) == mask_bytes(identifier.encode())


@pytest.mark.parametrize(
    "written", ['"4111111111111111"', '"4111 1111-1111 1111"', "4111111111111111", '"\\u0034111111111111111"']
)
@pytest.mark.parametrize("around", ["", "7", "000"])
def test_the_card_number_of_a_json_message_is_masked_in_exempt_fields_too(written: str, around: str) -> None:
    value = f'{{"card_number": {written}, "merchant_id": "{around}4111111111111111", "device_id": "4012888888881881"}}'
    masked = json.loads(mask_bytes(value.encode(), exempt_fields=IDENTIFIER_FIELDS))
    assert masked["merchant_id"] == around + MASKED
    assert masked["device_id"] == "4012888888881881", "it is another one"


@pytest.mark.parametrize("text", ["card_token", "merchant_id,ip_address", "Merchant_id", "merchant_id;device_id", "*"])
def test_only_identifier_fields_can_be_exempt(text: str) -> None:
    with pytest.raises(ValueError, match="expected names of device_id, merchant_id, transaction_id"):
        parse_exempt_fields(text)


@pytest.mark.parametrize("text", ["", " ", "merchant_id", "merchant_id, device_id", "device_id,merchant_id,,"])
def test_exempt_fields_are_separated_by_commas(text: str) -> None:
    assert parse_exempt_fields(text) == set(text.replace(",", " ").split())


@pytest.mark.parametrize("name", ["transaction_id", "merchant_id", "device_id"])
def test_the_number_that_a_message_calls_its_card_number_is_masked_in_identifiers(name: str) -> None:
    for identifier in ("2000000000008", "92000000000008", "2000000000008123", "0" * 9 + "2000000000008" + "0" * 9):
        masked = mask_bytes(json.dumps({name: identifier}).encode(), "2000000000008")
        assert json.loads(masked)[name] == identifier.replace("2000000000008", "*" * 13)


def test_json_without_card_numbers_keeps_its_bytes() -> None:
    value = b'{ "a" : 1.50e1, "b":\t"caf\\u00e9",\r\n "event_time": 1795478400000001 } '
    assert mask_bytes(value) == value


def test_only_the_masked_value_changes() -> None:
    value = f'{{ "a" : 1.50e1, "pan":{CARD_NUMBER} , "b":"caf\\u00e9"}}'.encode()
    assert mask_bytes(value) == value.replace(CARD_NUMBER.encode(), f'"{MASKED}"'.encode())


def test_a_header_that_is_named_like_a_security_code_is_dropped() -> None:
    assert mask_header("x-cvv", b"123") == ("x-cvv", b"****")
    assert mask_header("track2", b"\xff") == ("track2", b"****")
    assert mask_header("cvv", None) == ("cvv", None)
    assert mask_header(f"pan {CARD_NUMBER}", CARD_NUMBER.encode()) == (f"pan {MASKED}", MASKED.encode())
    assert mask_header("trace", b"abc") == ("trace", b"abc")


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "4111 ",
        "[",
        "[1,",
        '{"a":',
        '{"cvv":[]},',
        '"cvv":',
        '{"card_number":"',
        "\\u0034",
        '"a",1,',
        '{"a":[{"cvv":',
        "\xff",
    ],
)
def test_time_is_proportional_to_the_length(text: str) -> None:
    for begin in ("", "[", "{"):
        value = (begin + text * (128 * 1024 // len(text))).encode("latin-1")
        started = time.process_time()
        mask_bytes(value)
        assert time.process_time() - started < 5.0  # measured: at most 0.4 s; quadratic time would be minutes


def test_thousands_of_card_numbers_take_no_quadratic_time() -> None:
    text = " ".join(str(4_000_000_000_000_000 + number) for number in range(50_000))
    started = time.process_time()
    masked = mask_bytes(b"\x02" + text.encode() + b"\x04")
    assert time.process_time() - started < 6
    assert len(masked) == len(text) + 2
    assert not find_card_numbers(masked.decode("latin-1"))
