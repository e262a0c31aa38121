"""Messages that were written to stop whoever reads them: each is taken, or ends in one dead letter.

Every consumer of a topic of transactions or alerts is tested with them. Nothing is random and no clock is asked.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record

from support.records import CARD_NUMBER, EVENT_TIME_US, alert_record, transaction_document, transaction_record

LARGE_BYTES: Final = 900_000
"""Nearly what a broker takes by default."""

_EVERY_BYTE: Final = bytes(range(256))


@dataclass(frozen=True)
class HostileMessage:
    """A message of a topic of transactions or alerts.

    Attributes:
        name: unique among those of its topic.
        expected: the reason for which it is refused; None for one that is valid.
    """

    name: str
    value: bytes | None
    expected: Reason | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        contents = [self.key, self.value, *(content for header in self.headers for content in header)]
        return sum(len(content) for content in contents if content)


def lane(message: HostileMessage) -> tuple[pytest.MarkDecorator, ...]:
    """The markers of a test of this message: large ones take up to a second each, and belong to `make test-faults`."""
    return (pytest.mark.faults,) if message.size > 100_000 else ()


def hostile_json_messages(event_time: int = EVENT_TIME_US) -> list[HostileMessage]:
    """For the JSON topic. ``event_time``: microseconds since 1970 UTC, not in the future."""
    return [
        *(HostileMessage(name, value, Reason.MALFORMED_JSON) for name, value in _malformed_json()),
        *(HostileMessage(name, value, Reason.UNKNOWN_FIELD) for name, value in _json_with_unknown_fields()),
        *_json_with_wrong_fields(event_time),
        *_envelopes(json.dumps(transaction_document(event_time=event_time)).encode(), b"{", Reason.MALFORMED_JSON),
    ]


def hostile_avro_messages(encode: Callable[[Record], bytes], event_time: int = EVENT_TIME_US) -> list[HostileMessage]:
    """For the raw topic.

    Args:
        encode: frames and encodes a record of ``transaction.avsc``.
        event_time: microseconds since 1970 UTC, not in the future.
    """

    def transaction(**changes: Any) -> bytes:
        return encode(transaction_record(**{"event_time": event_time, **changes}))

    good = transaction()
    frame = good[:5]
    card_numbers = " ".join(str(4_000_000_000_000_000 + number) for number in range(LARGE_BYTES // 17))
    return [
        HostileMessage("truncated", good[:40], Reason.UNDECODABLE_AVRO),
        HostileMessage("bytes behind the record", good + b"\x00", Reason.UNDECODABLE_AVRO),
        HostileMessage("text of 2^62 bytes", frame + b"\xfe" + b"\xff" * 8 + b"\x7f", Reason.UNDECODABLE_AVRO),
        HostileMessage("text of negative length", frame + b"\x01" + b"x" * 100, Reason.UNDECODABLE_AVRO),
        HostileMessage("a number that does not end", frame + b"\xff" * LARGE_BYTES, Reason.UNDECODABLE_AVRO),
        HostileMessage("text that is not UTF-8", good.replace(b"m-1", b"\xff-1"), Reason.UNDECODABLE_AVRO),
        HostileMessage(
            "long text that is not UTF-8", frame + _zigzag(LARGE_BYTES) + b"\xff" * LARGE_BYTES, Reason.UNDECODABLE_AVRO
        ),
        HostileMessage("every byte", frame + _EVERY_BYTE, Reason.UNDECODABLE_AVRO),
        HostileMessage("digits only", b"4" * LARGE_BYTES, Reason.NOT_CONFLUENT_FRAMED),
        HostileMessage("frame only", frame, Reason.UNDECODABLE_AVRO),
        HostileMessage("latest time", transaction(event_time=2**63 - 1), Reason.EVENT_TIME_IN_FUTURE),
        HostileMessage("earliest time", transaction(event_time=-(2**63)), Reason.EVENT_TIME_IMPLAUSIBLE),
        HostileMessage("largest amount", transaction(amount_minor=2**63 - 1), Reason.INVALID_AMOUNT),
        HostileMessage("not a number", transaction(latitude=float("nan"), longitude=0.0), Reason.INVALID_LOCATION),
        HostileMessage("infinite", transaction(latitude=0.0, longitude=float("inf")), Reason.INVALID_LOCATION),
        HostileMessage("zero byte in an id", transaction(merchant_id="a\x00b"), Reason.CONTROL_CHARACTERS),
        HostileMessage("long text", transaction(device_id="x" * LARGE_BYTES), Reason.WRONG_TYPE),
        HostileMessage("thousands of card numbers", transaction(device_id=card_numbers), Reason.CARD_NUMBER_PRESENT),
        *_envelopes(good, b"\x01", Reason.NOT_CONFLUENT_FRAMED),
    ]


def hostile_alert_messages(encode: Callable[[Record], bytes]) -> list[HostileMessage]:
    """For the alerts topic. ``encode``: frames and encodes a record of ``alert.avsc``."""
    good = encode(alert_record())
    frame = good[:5]
    implausible = (253_402_300_800_000_000, 2**63 - 1, -(2**63))  # the first is the year 10000
    times = ("event_time", "window_start", "raw_broker_time", "detected_at")
    measure = {"name": "a", "expression": "b", "window_us": 1, "text": None}
    valid: dict[str, dict[str, Any]] = {
        "measures that are not finite": {
            "measures": [{**measure, "value": float(value)} for value in ("nan", "inf", "-inf")]
        },
        "many transactions": {"evidence_transaction_ids": ["x"] * (LARGE_BYTES // 2)},
        "control characters": {"rule_title": bytes(range(32)).decode(), "severity": "\u202e"},
    }
    # The number of measures that follow: 2^62, less than none, and more than there are.
    counts = (b"\xfe" + b"\xff" * 8 + b"\x7f", b"\xff" * 9 + b"\x01", b"\xfe\xff\x7f")
    before, _, behind = good.partition(b"\x02" + bytes([2 * len("payments")]) + b"payments")
    return [
        *(HostileMessage(name, encode(alert_record(**changes)), None) for name, changes in valid.items()),
        *(
            HostileMessage(f"{name} {time}", encode(alert_record(**{name: time})), Reason.EVENT_TIME_IMPLAUSIBLE)
            for name in times
            for time in implausible
        ),
        *(
            HostileMessage(f"{count.hex()} measures", before + count + behind, Reason.UNDECODABLE_AVRO)
            for count in counts
        ),
        HostileMessage("truncated", good[:-30], Reason.UNDECODABLE_AVRO),
        HostileMessage("a number that does not end", frame + b"\xff" * LARGE_BYTES, Reason.UNDECODABLE_AVRO),
        HostileMessage("every byte", frame + _EVERY_BYTE, Reason.UNDECODABLE_AVRO),
        HostileMessage(
            "long text that is not UTF-8", frame + _zigzag(LARGE_BYTES) + b"\xff" * LARGE_BYTES, Reason.UNDECODABLE_AVRO
        ),
        HostileMessage("zero byte in the rule", encode(alert_record(rule_id="a\x00b")), Reason.WRONG_TYPE),
        HostileMessage("id of digits", encode(alert_record(alert_id="4" * LARGE_BYTES)), Reason.WRONG_TYPE),
        HostileMessage("id of other digits", encode(alert_record(alert_id="\uff11" * 36)), Reason.WRONG_TYPE),
        HostileMessage("long status", encode(alert_record(status="4" * LARGE_BYTES)), Reason.INVALID_STATUS),
        *_envelopes(good, b"\x01", Reason.NOT_CONFLUENT_FRAMED),
    ]


def _malformed_json() -> Iterator[tuple[str, bytes]]:
    for depth in (33, 600, 985, LARGE_BYTES // 2 - 10):
        lists = b"[" * depth + b"]" * depth
        yield f"{depth} lists", b'{"x":' + lists + b"}"
        yield f"{depth} lists as card number", b'{"card_number":' + lists + b"}"
        yield f"{depth} lists behind a card number", b'{"card_number":"%s","x":%s}' % (CARD_NUMBER.encode(), lists)
    yield "600 objects", b'{"x":' * 600 + b"1" + b"}" * 600
    yield "600 objects around a card number", b'{"x":' * 600 + b'"%s"' % CARD_NUMBER.encode() + b"}" * 600
    yield "lists that do not end", b"[" * LARGE_BYTES
    yield "lists that only end", b"]" * LARGE_BYTES
    yield "objects that do not end", b'{"a":' * (LARGE_BYTES // 5)
    yield "escaped quotes without end", b'"' + b'\\"' * (LARGE_BYTES // 2)
    yield "many members", b"{" + b",".join(b'"%d":1' % number for number in range(80_000)) + b"}"
    yield "many items", b'{"x":[' + b"1," * (LARGE_BYTES // 2) + b"1]}"
    yield "long number", b'{"amount_minor":' + b"1" * 5000 + b"}"
    yield "very long number", b'{"amount_minor":' + b"1" * LARGE_BYTES + b"}"
    yield "long card number as number", b'{"card_number":' + b"4" * 5000 + b"}"
    yield "not a number", b'{"latitude":NaN}'
    yield "infinite", b'{"latitude":-Infinity}'
    yield "a name twice", b'{"merchant_id":"a","merchant_id":"%s"}' % CARD_NUMBER.encode()
    yield "UTF-16", f'{{"card_number":"{CARD_NUMBER}"}}'.encode("utf-16")
    yield "byte order mark", b"\xef\xbb\xbf{}"
    yield "half a character", b'{"merchant_id":"\xed\xa0\x80"}'
    yield "every byte", _EVERY_BYTE
    yield "zero bytes", b"\x00" * LARGE_BYTES
    yield "names without end", b'"card_number":' * (LARGE_BYTES // 14)


def _json_with_unknown_fields() -> Iterator[tuple[str, bytes]]:
    yield "32 levels", b'{"x":' + b"[" * 31 + b"]" * 31 + b"}"
    yield "brackets in a text", b'{"x":"' + b"[" * 600 + b'"}'
    yield "half a character as name", b'{"\\ud800":1,"card_number":"%s"}' % CARD_NUMBER.encode()
    yield "half a character as text", b'{"x":"\\udfff","card_number":"%s"}' % CARD_NUMBER.encode()
    yield "digits", b'{"x":"' + b"1" * LARGE_BYTES + b'"}'
    yield "digits and hyphens", b'{"x":"' + b"1-" * (LARGE_BYTES // 2) + b'"}'
    yield "card numbers", b'{"x":"' + f"{CARD_NUMBER} ".encode() * (LARGE_BYTES // 17) + b'"}'
    yield "escaped digits", b'{"x":"' + b"\\u0034" * (LARGE_BYTES // 6) + b'"}'
    yield "a name of one megabyte", b'{"' + b"4" * LARGE_BYTES + b'":1}'


def _json_with_wrong_fields(event_time: int) -> Iterator[HostileMessage]:
    def message(name: str, expected: Reason | None, **changes: Any) -> HostileMessage:
        document = json.dumps(transaction_document(**{"event_time": event_time, **changes}))
        # Python writes 1e999 as Infinity, which is no JSON.
        return HostileMessage(name, document.replace("Infinity", "1e999").encode(), expected)

    yield message("number of 400 digits", Reason.WRONG_TYPE, amount_minor=10**400)
    yield message("degrees of 400 digits", Reason.WRONG_TYPE, latitude=10**400, longitude=0)
    yield message("1e999", Reason.INVALID_LOCATION, latitude=float("inf"), longitude=float("-inf"))
    yield message("half a character", Reason.WRONG_TYPE, device_id="\ud800")
    yield message("half a character as card number", Reason.INVALID_CARD_NUMBER, card_number="\ud800")
    yield message("card number of one megabyte", Reason.INVALID_CARD_NUMBER, card_number="4" * LARGE_BYTES)
    yield message("list as card number", Reason.WRONG_TYPE, card_number=[CARD_NUMBER])
    yield message("last time", Reason.EVENT_TIME_IN_FUTURE, event_time="9999-12-31T23:59:59.999999-23:59")
    yield message("first time", Reason.EVENT_TIME_IMPLAUSIBLE, event_time="0001-01-01T00:00:00+23:59")
    yield message("time after the last", Reason.WRONG_TYPE, event_time="10000-01-01T00:00:00Z")
    yield message("64 emoji", None, transaction_id="h-emoji", merchant_id="\U0001f4b3" * 64)


def _envelopes(good: bytes, bad: bytes, reason: Reason) -> Iterator[HostileMessage]:
    """What is not the value: keys and headers, around a valid value and an invalid one; and no value."""
    card_number = CARD_NUMBER.encode()
    many = tuple((f"h{number}", b"x" * 100) for number in range(5000))
    parts: dict[str, dict[str, Any]] = {
        "empty key": {"key": b""},
        "key of every byte": {"key": _EVERY_BYTE},
        "card number as key": {"key": card_number},
        "large key": {"key": b"k" * (LARGE_BYTES // 3 * 2)},
        "empty header": {"headers": (("", None), ("", b""))},
        "header twice": {"headers": (("a", b"1"), ("a", b"2"))},
        "card number as header and its name": {"headers": ((CARD_NUMBER, card_number),)},
        "header of every byte": {"headers": (("bytes", _EVERY_BYTE), ("traceparent", _EVERY_BYTE))},
        "large header": {"headers": (("large", b"4" * LARGE_BYTES),)},
        "many headers": {"headers": many},
    }
    yield HostileMessage("no value", None, Reason.EMPTY_MESSAGE)
    yield HostileMessage("empty value", b"", Reason.EMPTY_MESSAGE)
    for name, envelope in parts.items():
        yield HostileMessage(f"{name}, valid value", good, None, **envelope)
        yield HostileMessage(f"{name}, invalid value", bad, reason, **envelope)
        yield HostileMessage(f"{name}, no value", None, Reason.EMPTY_MESSAGE, **envelope)


def _zigzag(number: int) -> bytes:
    """A non-negative number as Avro writes it."""
    rest, out = number * 2, bytearray()
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes([*out, rest])
