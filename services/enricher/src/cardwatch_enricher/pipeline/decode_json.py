"""Decoding ``transactions.json.v1``: one JSON object per message, checked field by field against ``transaction.avsc``.

Two things differ from the Avro record: ``event_time`` may be ISO 8601 text with an offset instead of microseconds, and
``card_number`` may replace ``card_token``, ``card_token_key_id``, ``card_bin`` and ``card_last_four``; it is tokenised
at once and goes no further.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from cardwatch_card_numbers.json_documents import MalformedJsonError, parse_json
from cardwatch_card_numbers.masking import CARD_NUMBER_FIELD, digits_pattern
from cardwatch_card_numbers.rotation import OTHER_TOKEN, TOKEN
from cardwatch_card_numbers.tokens import only_digits
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Record
from cardwatch_units.timestamps import to_microseconds

CARD_FIELDS: Final = (*TOKEN, *OTHER_TOKEN, "card_bin", "card_last_four")

_LONGS: Final = range(-(2**63), 2**63)
_TIME: Final = "an ISO 8601 time with an offset, or microseconds since 1970"
_TYPE_NAMES: Final = {
    str: "text", bool: "a truth value", int: "a whole number", float: "a number with a fraction",
    dict: "an object", list: "a list", type(None): "null",
}  # fmt: skip


def parse(value: bytes) -> Any:
    """Parse one JSON value in UTF-8, within the limits of ``json_documents``.

    Raises:
        MalformedJsonError: the bytes are not such a value.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJsonError("it is not UTF-8") from None
    return parse_json(text)


class JsonTransactions:
    """Decodes a JSON message into a record of ``transaction.avsc``."""

    def __init__(self, tokenise: Callable[[Any], Record]) -> None:
        """``tokenise`` turns a card number into the card fields, or raises RefusedError."""
        self._tokenise = tokenise
        self._fields: Final[dict[str, dict[str, Any]]] = {
            field["name"]: field for field in parsed_schema("transaction")["fields"]
        }

    def __call__(self, value: bytes | None) -> Record:
        """Decode one message's value.

        Raises:
            RefusedError: the message is invalid, with its reason code; the detail quotes no value.
        """
        if not value:
            raise RefusedError(Reason.EMPTY_MESSAGE, "expected a JSON object, got a message without a value")
        try:
            document = parse(value)
        except MalformedJsonError as error:
            raise RefusedError(
                Reason.MALFORMED_JSON, f"expected one JSON object per message, got a value that is not JSON: {error}"
            ) from error
        if not isinstance(document, dict):
            raise RefusedError(Reason.MALFORMED_JSON, f"expected a JSON object, got {_TYPE_NAMES[type(document)]}")
        return self._record(document)

    def _record(self, document: dict[str, Any]) -> Record:
        has_card_number = CARD_NUMBER_FIELD in document
        for name in document:
            if name not in self._fields and name != CARD_NUMBER_FIELD:
                raise RefusedError(
                    Reason.UNKNOWN_FIELD, f"expected fields of transaction.avsc only, got {_shown(name)}"
                )
            if has_card_number and name in CARD_FIELDS:
                raise RefusedError(Reason.UNKNOWN_FIELD, f"expected card_number or {name}, got both")
        record = self._tokenise(document[CARD_NUMBER_FIELD]) if has_card_number else {}
        if has_card_number:
            _refuse_repetition(document)
        for name, field in self._fields.items():
            if name in document:
                record[name] = _checked(name, field["type"], document[name])
            elif name not in record:
                if "default" not in field:
                    raise RefusedError(
                        Reason.MISSING_FIELD, f"{name}: expected {_expected(name, field['type'])}, got no such field"
                    )
                record[name] = field["default"]
        return record


def _refuse_repetition(document: dict[str, Any]) -> None:
    """Raises RefusedError if the card number, which may be of no known issuer, is in another field too."""
    written = digits_pattern(only_digits(document[CARD_NUMBER_FIELD]))
    for name, value in document.items():
        if name != CARD_NUMBER_FIELD and written.search(str(value)):
            raise RefusedError(Reason.CARD_NUMBER_PRESENT, f"{name}: expected no card number, got that of card_number")


def _checked(name: str, avro_type: Any, value: Any) -> Any:
    """The value as Avro wants it, if it has the field's type."""
    if isinstance(avro_type, list):
        if value is None and "null" in avro_type:
            return None
        (avro_type,) = (branch for branch in avro_type if branch != "null")
    if isinstance(avro_type, dict):
        avro_type = avro_type["type"]
    if avro_type == "string" and isinstance(value, str) and _encodable(value):
        return value
    if avro_type == "long" and type(value) is int and value in _LONGS:
        return value
    if avro_type == "double" and type(value) in (int, float):
        return _double(name, value)
    if name == "event_time" and isinstance(value, str):
        return _microseconds(value)
    raise RefusedError(
        Reason.WRONG_TYPE, f"{name}: expected {_expected(name, avro_type)}, got {_TYPE_NAMES[type(value)]}"
    )


def _double(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise RefusedError(Reason.WRONG_TYPE, f"{name}: expected a number of 64 bits, got a larger one") from None


def _encodable(text: str) -> bool:
    """Whether the text is Unicode: JSON can escape half a character, which UTF-8 cannot hold."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise RefusedError(
                Reason.WRONG_TYPE,
                "event_time: expected a time with an offset from UTC, such as 2026-01-31T12:00:00Z, got none",
            )
        return to_microseconds(moment)
    except (ValueError, OverflowError):
        raise RefusedError(
            Reason.WRONG_TYPE,
            f"event_time: expected {_TIME}, got text that is neither",
        ) from None


def _expected(name: str, avro_type: Any) -> str:
    if name == "event_time":
        return _TIME
    if isinstance(avro_type, list):
        (avro_type,) = (branch for branch in avro_type if branch != "null")
    return {"string": "text", "long": "a whole number of 64 bits", "double": "a number"}.get(str(avro_type), "a value")


def _shown(name: str) -> str:
    """A field's name as it may appear in an error: digits could be those of a card number."""
    shown = "".join("#" if char.isdigit() else char for char in name[:40])
    return repr(shown)
