"""JSON that anybody may have written is parsed in bounded time and depth."""

import inspect
import sys
import time

import pytest
from cardwatch_card_numbers.json_documents import MAX_CHARACTERS, MAX_COMMAS, MAX_DEPTH, MalformedJsonError, parse_json
from cardwatch_card_numbers.masking import mask_bytes

ONE_MEGABYTE = 1_000_000


def lists(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, 2.5, null, {"b": "\\u0041"}]}', {"a": [1, 2.5, None, {"b": "A"}]}),
        ("[" + "1," * MAX_COMMAS + "1]", [1] * (MAX_COMMAS + 1)),
        (f'"{"[" * 1000}"', "[" * 1000),
        ('"' + "," * 5000 + '\\"' + "[" * 50 + '"', "," * 5000 + '"' + "[" * 50),
        ("[" + ",".join([lists(2)] * 500) + "]", [[[]]] * 500),
    ],
)
def test_what_is_within_the_limits_is_parsed(text: str, expected: object) -> None:
    assert parse_json(text) == expected


def test_the_deepest_document() -> None:
    parse_json(lists(MAX_DEPTH))
    with pytest.raises(MalformedJsonError, match="nested too deeply, expected at most 32 levels"):
        parse_json(lists(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" + "1," * (MAX_COMMAS + 1) + "1]", "more than 1000 members"),
        (" " * MAX_CHARACTERS + "1", "1048577 characters, expected at most 1048576"),
        ("1" * 5000, "a number that is too long"),
        ('{"a": 1, "a": 2}', "a name occurs twice"),
        ("-Infinity", "-Infinity is not a JSON number"),
        ("[1", "delimiter at character 2"),
        ('"a\nb"', "Invalid control character"),
    ],
)
def test_what_is_not_says_why(text: str, why: str) -> None:
    with pytest.raises(MalformedJsonError, match=why):
        parse_json(text)


@pytest.mark.parametrize("part", ["[", '{"a":', "]", '"', '\\"', '"\\', '","', "[,", '"a"', "1,", "é", "\ud800"])
@pytest.mark.parametrize("start", ["", '"', "[", '{"a":"'])
def test_nothing_takes_long_or_raises_anything_else(start: str, part: str) -> None:
    text = start + part * (ONE_MEGABYTE // len(part))
    started = time.process_time()
    with pytest.raises(MalformedJsonError):
        parse_json(text)
    assert time.process_time() - started < 5


def test_it_needs_no_more_of_the_stack_than_its_limit() -> None:
    """Called near the end of the stack it still refuses a deep text, and masks it."""

    def call_at_depth(depth: int) -> bytes:
        if depth:
            return call_at_depth(depth - 1)
        return mask_bytes(b'{"pan":"4111111111111111","x":' + b"[" * 600 + b"]" * 600 + b"}")

    limit = sys.getrecursionlimit()
    used = len(inspect.stack())
    assert b"4111" not in call_at_depth(limit - used - 100)
