"""Masks card numbers in Kafka messages before a table keeps them: the Spark part of ``cardwatch_card_numbers``.

JSON is masked as JSON, transactions in Avro by their fields, all else as text: what bronze keeps must stay decodable.
"""

from functools import cache, reduce
from operator import or_
from typing import Any, Final

import pyarrow as pa
from cardwatch_card_numbers.avro_longs import MAY_BE_CARD_NUMBER
from cardwatch_card_numbers.avro_masking import AvroMasker
from cardwatch_card_numbers.check_digits import MIN_DIGITS
from cardwatch_card_numbers.encodings import LINE_BREAK, encoded_text_pattern
from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_card_numbers.masking import mask_bytes, mask_header
from cardwatch_card_numbers.scanner import MAX_SEPARATORS
from cardwatch_card_numbers.wide_text import WIDE_TEXT
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from cardwatch_service.logs import get_logger
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.functions import ArrowUDFType, arrow_udf

log = get_logger(__name__)

# A regular expression of Java that selects the messages for Python to check, of bytes as ISO 8859-1: a micro-batch in
# which no message may hold anything starts no Python. What the scanner finds, this selects; what else it selects costs
# time only.
# An ASCII digit, or any other character in UTF-8, by its first byte. No byte begins both a digit and a separator, and
# none that is taken is given back (`(?>…)`): otherwise a dozen characters in a row would cost seconds. (Python before
# 3.11.5, in which tests match the same expression, has a defect in `(?:…){…}+`.)
_OTHER_CHARACTER: Final = r"[\xc2-\xf4](?=[\x80-\xbf])"
_DIGIT: Final = rf"(?:[0-9]|{_OTHER_CHARACTER})"
_SEPARATOR: Final = rf"(?:(?!{_OTHER_CHARACTER})[^0-9A-Za-z*\x01-\x08\x0e-\x1f\\]|\\[tnrf]?+)"
# Of each separator, and of the digit before it, the bytes behind the first one.
_MAX_SEPARATOR_BYTES: Final = 4 * MAX_SEPARATORS + 3
# Numbers of a transaction in Avro, by what stands behind them (MAY_BE_CARD_NUMBER finds card numbers in whole numbers
# whatever stands there). Whole numbers of 13 digits or more take 6 bytes or more: amount_minor before a currency,
# event_time before a token; times of 2006 to 2032 have 8 bytes that end in 4 to 6.
# Latitude and longitude are of 10^12 or more if their last byte is 0x42 or 0x43.
_NUMBER_IN_AVRO: Final = (
    r"[\x80-\xff]{5}[\x00-\x7f]\x06[A-Z]{3}|[\x80-\xff]{5}[\x00-\x03\x07-\x7f]\x40[0-9a-f]{8}"
    r"|[\x80-\xff]{8}[\x00-\x7f]\x40[0-9a-f]{8}|\x02[\x00-\xff]{7}[\x42\x43\xc2\xc3](?![\x01\x03-\xff])"
)
_FIELD_NAMES: Final = r"(?:c_?v|csc|cav|pvv|cid|pin|track|stripe|verif|valid|secur|card_?(?:number|code)|primary)"
_ENCODED: Final = encoded_text_pattern(between=f"(?>(?:{LINE_BREAK})?)")
SUSPECT: Final = (
    rf"{_DIGIT}(?:(?>{_SEPARATOR}{{0,{_MAX_SEPARATOR_BYTES}}}){_DIGIT}){{{MIN_DIGITS - 1}}}"
    rf"|%[0-9A-Fa-f]{{2}}|\\[ux][0-9A-Fa-f{{]|&#|&[A-Za-z]{{2,12}};|{_ENCODED}|{_NUMBER_IN_AVRO}"
    # JSON with a list: no transaction has one, and a card number may be spread over it.
    rf"|{MAY_BE_CARD_NUMBER}|^(?:{WIDE_TEXT}|[ \t\n\r]*(?:\[|\{{[\x00-\xff]*\[))"
    # A code that is called so in text, and the name of a field in JSON.
    r"|(?i:(?:cv[vcnd]|csc|cav|ccv|cv2)2?[^0-9A-Za-z]|(?:secur|verif|valid)[a-z]{2,6}[ _]?(?:code|value)"
    rf'|{_FIELD_NAMES}[^"\\]{{0,40}}"\s{{0,8}}:|"[^"\\]{{0,40}}[\x80-\xff][^"\\]{{0,40}}"\s{{0,8}}:)'
)
SUSPECT_NAME: Final = rf"(?i){_FIELD_NAMES}|[^\x00-\x7f]"
"""The same for names of headers."""

_DIGITS: Final = "0123456789"
_STARS: Final = str.maketrans(dict.fromkeys(_DIGITS, "*"))
_STARS_IN_BYTES: Final = bytes.maketrans(_DIGITS.encode(), b"*" * len(_DIGITS))

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


def mask_row(message: dict[str, Any], exempt_fields: frozenset[str] = NO_FIELDS) -> dict[str, Any]:
    """One message without card numbers.

    Args:
        message: ``key``, ``value`` (bytes or None), and ``headers`` (list of ``key``, ``value``; or None).
        exempt_fields: fields of transactions whose numbers are not searched.

    Returns:
        ``key``, ``value``, ``headers``, and whether anything changed, ``redacted``.
    """
    key, value, headers = message["key"], message["value"], message["headers"]
    result = {
        "key": None if key is None else mask_bytes(key),
        "value": None if value is None else _masked_value(value, exempt_fields),
        "headers": headers and [_masked_header(header) for header in headers],
    }
    return {**result, "redacted": any(result[name] != message[name] for name in result)}


@cache
def _transaction_masker(exempt_fields: frozenset[str]) -> AvroMasker:
    return AvroMasker(parsed_schema("transaction"), exempt_fields)


def _masked_value(value: bytes, exempt_fields: frozenset[str]) -> bytes:
    if value[:1] == bytes([MAGIC_BYTE]):
        return _transaction_masker(exempt_fields).mask_any(value, HEADER.size)
    return mask_bytes(value, exempt_fields=exempt_fields)


def _masked_header(header: dict[str, Any]) -> dict[str, Any]:
    (name, value) = mask_header(header["key"], header["value"])
    return {"key": name, "value": value}


def mask_rows(messages: "pa.Array[Any]", exempt_fields: frozenset[str] = NO_FIELDS) -> "pa.Array[Any]":
    """``mask_row`` for an Arrow array of such structs; null stays null."""
    rows = (None if message is None else _mask_any_row(message, exempt_fields) for message in messages.to_pylist())
    return pa.array(list(rows), _ARROW_MESSAGE)


def _mask_any_row(message: dict[str, Any], exempt_fields: frozenset[str]) -> dict[str, Any]:
    """``mask_row``; where that fails, which is a defect, the message with every digit masked."""
    try:
        return mask_row(message, exempt_fields)
    except Exception as error:  # noqa: BLE001  # an internal error must not stop the table
        log.error("a message could not be redacted; all its digits are masked", error=type(error).__name__)  # noqa: TRY400
    headers = message["headers"]
    return {
        "key": _without_digits(message["key"]),
        "value": _without_digits(message["value"]),
        "headers": headers
        and [{"key": header["key"].translate(_STARS), "value": _without_digits(header["value"])} for header in headers],
        "redacted": True,
    }


def _without_digits(value: bytes | None) -> bytes | None:
    return None if value is None else value.translate(_STARS_IN_BYTES)


def mask_card_numbers(messages: DataFrame, exempt_fields: frozenset[str] = NO_FIELDS) -> tuple[DataFrame, int]:
    """Mask the card numbers in messages, and count the messages.

    Python looks only at what may hold one: where no message of a micro-batch does, none is started.

    Args:
        messages: Kafka's columns; cached, because they are read twice.
        exempt_fields: fields of transactions whose numbers are not searched.

    Returns:
        The messages, ``key``, ``value`` and ``headers`` masked and ``redacted`` added; and their number.
    """
    suspect = _suspect_message()
    ((total, suspects),) = messages.agg(F.count("*"), F.count_if(suspect)).collect()
    if not suspects:
        return messages.withColumn("redacted", F.lit(False)), total
    message = F.when(suspect, F.struct("key", "value", "headers"))

    def mask(rows: "pa.Array[Any]") -> "pa.Array[Any]":
        return mask_rows(rows, exempt_fields)

    checked = messages.withColumn("checked", arrow_udf(mask, _MESSAGE_TYPE, ArrowUDFType.SCALAR)(message))
    for name in ("key", "value", "headers"):
        # By whether it was checked, not by null: a checked key may well be null.
        checked = checked.withColumn(
            name, F.when(F.col("checked").isNull(), F.col(name)).otherwise(F.col(f"checked.{name}"))
        )
    return checked.withColumn("redacted", F.coalesce("checked.redacted", F.lit(False))).drop("checked"), total


def _suspect_message() -> Column:
    def suspect(value: Column) -> Column:
        return F.decode(value, "ISO-8859-1").rlike(SUSPECT)

    def suspect_header(header: Column) -> Column:
        name = header["key"]
        # A text's bytes, so that it is searched as they are.
        return suspect(header["value"]) | suspect(F.encode(name, "UTF-8")) | name.rlike(SUSPECT_NAME)

    found = (suspect(F.col("key")), suspect(F.col("value")), F.exists("headers", suspect_header))
    return reduce(or_, (F.coalesce(column, F.lit(False)) for column in found))
