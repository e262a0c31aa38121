"""Masks card numbers in Kafka messages before a table keeps them: the Spark part of ``cardwatch_card_numbers``.

JSON is masked as JSON, all else as bytes of known structure: what bronze keeps must stay decodable.
"""

from functools import reduce
from operator import or_
from typing import Any, Final

import pyarrow as pa
from cardwatch_card_numbers.detection import MIN_DIGITS
from cardwatch_card_numbers.masking import CARD_NUMBER_FIELD, mask_bytes, mask_json, mask_text
from cardwatch_card_numbers.scanner import MAX_SEPARATORS, SEPARATORS
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_service.logs import get_logger
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.functions import ArrowUDFType, arrow_udf

log = get_logger(__name__)

_TRANSACTION_FIELDS: Final = frozenset(field["name"] for field in parsed_schema("transaction")["fields"])

# A regular expression of Java that selects the messages for Python to check: without a run of digits of this length
# there is nothing to mask, and a micro-batch without such a message starts no Python.
_JAVA_JSON_DIGIT: Final = r"(?:[0-9]|\\u003[0-9])"
_JAVA_JSON_BETWEEN: Final = rf"(?:[{SEPARATORS}]|\\u00(?!3[0-9])[0-9a-f]{{2}}|\\/){{0,{MAX_SEPARATORS}}}"
SUSPECT_JSON: Final = (
    rf'(?i){_JAVA_JSON_DIGIT}(?:{_JAVA_JSON_BETWEEN}{_JAVA_JSON_DIGIT}){{{MIN_DIGITS - 1}}}|"{CARD_NUMBER_FIELD}"'
)
SUSPECT: Final = rf"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){{{MIN_DIGITS - 1}}}"

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


def mask_row(message: dict[str, Any]) -> dict[str, Any]:
    """One message without card numbers.

    Args:
        message: ``key``, ``value`` (bytes or None), ``headers`` (list of ``key``, ``value``; or None), ``is_json`` and,
            if the value is a record of a schema, ``is_record``.

    Returns:
        ``key``, ``value``, ``headers``, and whether anything changed, ``redacted``.
    """

    def masked(value: bytes | None, known_fields: frozenset[str] | None = None) -> bytes | None:
        if value is None:
            return None
        return mask_json(value, known_fields) if message["is_json"] else mask_bytes(value)

    # The ids in a record may be long numbers.
    known_fields = None if message.get("is_record") else _TRANSACTION_FIELDS
    headers = message["headers"]
    result = {
        "key": masked(message["key"]),
        "value": masked(message["value"], known_fields),
        "headers": headers
        and [{"key": mask_text(header["key"]), "value": masked(header["value"])} for header in headers],
    }
    return {**result, "redacted": any(result[name] != message[name] for name in result)}


def mask_rows(messages: "pa.Array[Any]") -> "pa.Array[Any]":
    """``mask_row`` for an Arrow array of such structs; null stays null."""
    return pa.array(
        [None if message is None else _mask_any_row(message) for message in messages.to_pylist()], _ARROW_MESSAGE
    )


def _mask_any_row(message: dict[str, Any]) -> dict[str, Any]:
    """``mask_row``; where that fails, which is a defect, the message with every digit masked."""
    try:
        return mask_row(message)
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


def mask_card_numbers(messages: DataFrame, is_json: Column, is_record: Column | None = None) -> tuple[DataFrame, int]:
    """Mask the card numbers in messages, and count the messages.

    Python looks only at what may hold one: where no message of a micro-batch does, none is started.

    Args:
        messages: Kafka's columns; cached, because they are read twice.
        is_json: whether a message is JSON text, or may be.
        is_record: whether a message is a record of a schema, in which only whole groups of digits are card numbers.

    Returns:
        The messages, ``key``, ``value`` and ``headers`` masked and ``redacted`` added; and their number.
    """
    suspect = _suspect_message(is_json)
    ((total, suspects),) = messages.agg(F.count("*"), F.count_if(suspect)).collect()
    if not suspects:
        return messages.withColumn("redacted", F.lit(False)), total
    form = (is_json.alias("is_json"), (F.lit(False) if is_record is None else is_record).alias("is_record"))
    message = F.when(suspect, F.struct("key", "value", "headers", *form))
    checked = messages.withColumn("checked", arrow_udf(mask_rows, _MESSAGE_TYPE, ArrowUDFType.SCALAR)(message))
    for name in ("key", "value", "headers"):
        # By whether it was checked, not by null: a checked key may well be null.
        checked = checked.withColumn(
            name, F.when(F.col("checked").isNull(), F.col(name)).otherwise(F.col(f"checked.{name}"))
        )
    return checked.withColumn("redacted", F.coalesce("checked.redacted", F.lit(False))).drop("checked"), total


def _suspect_message(is_json: Column) -> Column:
    headers = F.exists("headers", lambda header: _suspect(is_json, header["value"]) | header["key"].rlike(SUSPECT))
    return reduce(
        or_,
        (
            F.coalesce(found, F.lit(False))
            for found in (_suspect(is_json, F.col("key")), _suspect(is_json, F.col("value")), headers)
        ),
    )


def _suspect(is_json: Column, value: Column) -> Column:
    text = F.decode(value, "ISO-8859-1")
    return F.when(is_json, text.rlike(SUSPECT_JSON)).otherwise(text.rlike(SUSPECT))
