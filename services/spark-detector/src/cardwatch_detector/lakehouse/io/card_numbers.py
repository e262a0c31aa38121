"""Card numbers that reach the edge must not stay: masks them in messages before a table keeps those.

A run is a stretch of digit groups with single spaces or hyphens between them. Whichever neighbouring groups of a run
make up a card number (13 to 19 digits with a valid check digit) are masked, each digit by ``*``: lengths stay right,
an Avro frame stays decodable. So the number is also found where an expiry date or a check code follows it, which
``find_card_numbers`` reads as one longer number.
"""

import re
from functools import reduce
from operator import or_
from typing import Any, Final

import pyarrow as pa
from cardwatch_contracts.cards import luhn_valid
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.functions import ArrowUDFType, arrow_udf

_SHORTEST: Final = 13
_LONGEST: Final = 19

_RUN: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(r"[0-9]+")
_DIGIT: Final = re.compile(r"[0-9]")
_JSON_DIGIT_ESCAPE: Final = re.compile(r"\\u003([0-9])", re.IGNORECASE)

# What legacy producers call it is masked whole: mistyped, it is still nearly a card number.
_CARD_NUMBER_FIELD: Final = re.compile(r'"card_number"\s*:\s*("(?:[^"\\]|\\.)*"?|[^,}\]\s]*)')
# Numbers of a transaction whose digits are a card number's by chance only. Microseconds since 1970 are 16 digits that
# begin with 1 until 2033; no card number of 16 digits does.
_PLAIN: Final = re.compile(
    r'"event_time"\s*:\s*1[0-9]{15}(?![0-9])|"(?:latitude|longitude)"\s*:\s*-?[0-9]{1,3}\.[0-9]+'
    # A card token or an id in hexadecimal.
    r"|(?<![0-9a-f])(?=[0-9]*[a-f])[0-9a-f]{32}(?![0-9a-f])"
)

# What is worth looking at, as a regular expression of Java: without a digit run of this length there is nothing to
# mask, and a micro-batch without any such message costs no Python.
_JAVA_DIGIT: Final = r"(?:[0-9]|\\u003[0-9])"
_JAVA_RUN: Final = rf"{_JAVA_DIGIT}(?:[ -]?{_JAVA_DIGIT}){{{_SHORTEST - 1}}}"
_JAVA_SUSPECT_JSON: Final = rf'(?i){_JAVA_RUN}|"card_number"'
_JAVA_SUSPECT: Final = rf"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){{{_SHORTEST - 1}}}"

HEADERS_TYPE: Final = "ARRAY<STRUCT<key: STRING, value: BINARY>>"
_MESSAGE_TYPE: Final = f"STRUCT<key: BINARY, value: BINARY, headers: {HEADERS_TYPE}, redacted: BOOLEAN>"

_ARROW_MESSAGE: Final = pa.struct(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
        ("redacted", pa.bool_()),
    ]
)


def mask(text: str) -> str:
    """The text with the digits of card numbers that stand by themselves masked; of the same length."""
    return _mask_runs(text, glued=False)


def mask_json(text: str) -> str:
    """The same for JSON text, where a letter beside a number may belong to an escape (``\\n``).

    Digits written as escapes (``\\u0034``) are written out first. A transaction's time and coordinates stay.
    """
    text = _JSON_DIGIT_ESCAPE.sub(r"\1", text)
    text = _CARD_NUMBER_FIELD.sub(
        lambda match: match.group()[: match.start(1) - match.start()] + _DIGIT.sub("*", match.group(1)), text
    )
    parts: list[str] = []
    end = 0
    for plain in _PLAIN.finditer(text):
        parts += [_mask_runs(text[end : plain.start()], glued=True), plain.group()]
        end = plain.end()
    return "".join([*parts, _mask_runs(text[end:], glued=True)])


def _mask_runs(text: str, *, glued: bool) -> str:
    masked: list[str] | None = None
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _SHORTEST:
            continue
        for start, end in _card_numbers(text, *run.span(), glued=glued):
            masked = masked or list(text)
            masked[start:end] = _DIGIT.sub("*", text[start:end])
    return "".join(masked) if masked else text


def _card_numbers(text: str, run_start: int, run_end: int, *, glued: bool) -> list[tuple[int, int]]:
    groups = [match.span() for match in _GROUP.finditer(text, run_start, run_end)]
    found = []
    for first, (start, _) in enumerate(groups):
        digits = ""
        for group_start, end in groups[first:]:
            digits += text[group_start:end]
            if len(digits) > _LONGEST:
                break
            if luhn_valid(digits) and (glued or _stands_alone(text, start, end)):
                found.append((start, end))
    return found


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (_is_alphanumeric(text[start - 1 : start]) or _is_alphanumeric(text[end : end + 1]))


def _is_alphanumeric(char: str) -> bool:
    return char.isascii() and char.isalnum()


def redact_message(message: dict[str, Any]) -> dict[str, Any]:
    """One message without card numbers.

    Args:
        message: ``key``, ``value`` (bytes or None), ``headers`` (list of ``key``, ``value``; or None), ``is_json``.

    Returns:
        ``key``, ``value``, ``headers``, and whether anything changed, ``redacted``.
    """
    masking = mask_json if message["is_json"] else mask

    def masked(value: bytes | None) -> bytes | None:
        return None if value is None else masking(value.decode("latin-1")).encode("latin-1")

    headers = message["headers"]
    result = {
        "key": masked(message["key"]),
        "value": masked(message["value"]),
        "headers": headers and [{"key": header["key"], "value": masked(header["value"])} for header in headers],
    }
    return {**result, "redacted": any(result[name] != message[name] for name in result)}


def redact_messages(messages: "pa.Array[Any]") -> "pa.Array[Any]":
    """``redact_message`` for an Arrow array of such structs; null stays null."""
    return pa.array(
        [None if message is None else redact_message(message) for message in messages.to_pylist()], _ARROW_MESSAGE
    )


def redacted(messages: DataFrame, is_json: Column) -> tuple[DataFrame, int]:
    """Mask the card numbers in messages, and count the messages.

    Python looks only at what may hold one: where no message of a micro-batch does, none is started.

    Args:
        messages: Kafka's columns; cached, as they are gone through twice.
        is_json: whether a message is JSON text.

    Returns:
        The messages, ``key``, ``value`` and ``headers`` masked and ``redacted`` added; and their number.
    """
    suspect = _suspect_message(is_json)
    ((total, suspects),) = messages.agg(F.count("*"), F.count_if(suspect)).collect()
    if not suspects:
        return messages.withColumn("redacted", F.lit(False)), total
    message = F.when(suspect, F.struct("key", "value", "headers", is_json.alias("is_json")))
    checked = messages.withColumn("checked", arrow_udf(redact_messages, _MESSAGE_TYPE, ArrowUDFType.SCALAR)(message))
    for name in ("key", "value", "headers"):
        # By whether it was checked, not by null: a checked key may well be null.
        checked = checked.withColumn(
            name, F.when(F.col("checked").isNull(), F.col(name)).otherwise(F.col(f"checked.{name}"))
        )
    return checked.withColumn("redacted", F.coalesce("checked.redacted", F.lit(False))).drop("checked"), total


def _suspect_message(is_json: Column) -> Column:
    headers = F.exists("headers", lambda header: _suspect(is_json, header["value"]))
    return reduce(
        or_,
        (
            F.coalesce(found, F.lit(False))
            for found in (_suspect(is_json, F.col("key")), _suspect(is_json, F.col("value")), headers)
        ),
    )


def _suspect(is_json: Column, value: Column) -> Column:
    text = F.decode(value, "ISO-8859-1")
    return F.when(is_json, text.rlike(_JAVA_SUSPECT_JSON)).otherwise(text.rlike(_JAVA_SUSPECT))
