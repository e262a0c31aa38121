"""Messages of each topic: a valid record with a mutation of its fields, of its bytes, or of what is around it."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    CARD_PROFILES,
    DEAD_LETTERS,
    LISTS,
    RULE_APPROVALS,
    RULE_STATUS,
    RULES,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_contracts.wire import Record

from support.fuzzing.mutations import MAX_BYTES, Mutator
from support.hostile_rules import hostile_definitions
from support.records import (
    alert_record,
    card_profile_record,
    dead_letter_record,
    enriched_record,
    feedback_record,
    transaction_document,
    transaction_record,
)

Encode = Callable[[Topic, Record], bytes]
MakeRecord = Callable[[Mutator, int], Record]


@dataclass(frozen=True, slots=True)
class FuzzedMessage:
    """A message of a topic.

    Attributes:
        timestamp: what its producer says that its time is, milliseconds since 1970; 0 for the time of sending.
    """

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of messages.

    Attributes:
        make: makes the value of the message of a number.
    """

    topic: Topic
    make: Callable[[Mutator, int], bytes]


def kinds(encode: Encode) -> Mapping[str, Kind]:
    """By name. ``encode``: frames and encodes a record of a topic, as ``KafkaTopics.encode``."""
    records: list[tuple[Topic, MakeRecord]] = [
        (TRANSACTIONS_RAW, _transaction),
        (TRANSACTIONS_SILVER, _enriched),
        (TRANSACTIONS_LATE, _enriched),
        (ALERTS, _alert),
        (ALERTS_FEEDBACK, _feedback),
        (DEAD_LETTERS, _dead_letter),
        (CARD_PROFILES, _profile),
        (RULES, _rule),
        (LISTS, _list_entry),
        (RULE_STATUS, _rule_status),
        (RULE_APPROVALS, _approval),
    ]
    avro = {_name(topic): Kind(topic, partial(_encode, encode, topic, make)) for topic, make in records}
    return {_name(TRANSACTIONS_JSON): Kind(TRANSACTIONS_JSON, _json_transaction), **avro}


def fuzzed_messages(kind: Kind, seed: int, count: int, timestamps: Sequence[int] = (0,)) -> Iterator[FuzzedMessage]:
    """So many messages of a kind: the same ones for the same seed, but for identifiers and times.

    Args:
        timestamps: one of them is the timestamp of one message in eight, milliseconds since 1970.
    """
    mutator = Mutator(seed)
    for number in range(count):
        message = _around(mutator, None if mutator.chance(50) else kind.make(mutator, number))
        yield replace(message, timestamp=mutator.choice(timestamps)) if mutator.chance(8) else message


def _name(topic: Topic) -> str:
    return topic.base_name.removesuffix(".v1")


def _encode(encode: Encode, topic: Topic, make: MakeRecord, mutator: Mutator, number: int) -> bytes:
    record = dict(make(mutator, number))
    for _ in range(mutator.randrange(3)):
        name = mutator.choice(list(record))
        record[name] = mutator.like(record[name])
    try:
        value = encode(topic, record)
    except Exception:  # noqa: BLE001 - a text or a number that the schema has no room for
        value = encode(topic, make(mutator, number))
    return mutator.mutate_bytes(value) if mutator.chance(2) else value[:MAX_BYTES]


def _json_transaction(mutator: Mutator, number: int) -> bytes:
    document = transaction_document(transaction_id=f"j-{number}", event_time=_now())
    return json.dumps(document).encode() if mutator.chance(10) else mutator.mutate_json(document)


def _transaction(mutator: Mutator, number: int) -> Record:
    return transaction_record(transaction_id=f"t-{number}", event_time=_now(), card_token=_card(number))


def _enriched(mutator: Mutator, number: int) -> Record:
    return enriched_record(transaction_id=f"s-{number}", event_time=_now(), card_token=_card(number))


def _alert(mutator: Mutator, number: int) -> Record:
    return alert_record(alert_id=str(uuid.UUID(int=mutator.getrandbits(128))), event_time=_now())


def _feedback(mutator: Mutator, number: int) -> Record:
    return feedback_record(str(uuid.UUID(int=mutator.getrandbits(128))), mutator.choice(["fraud", "genuine", "x"]))


def _dead_letter(mutator: Mutator, number: int) -> Record:
    return dead_letter_record(source_offset=number, value=mutator.randbytes(50))


def _profile(mutator: Mutator, number: int) -> Record:
    return card_profile_record(_card(number))


def _rule(mutator: Mutator, number: int) -> Record:
    definition = mutator.choice(list(hostile_definitions().values()))[: MAX_BYTES // 2]
    valid = f"id: r{number % 50}\ntitle: t\nscope: card\nwhen: amount_minor > {number}\n"
    return {
        "rule_id": f"r{number % 50}",
        "rule_version": mutator.randrange(1, 4),
        "scope": "card",
        "mode": mutator.choice(["live", "shadow", "paused", "x"]),
        "definition": mutator.choice([valid, valid, definition.encode("utf-8", "replace").decode()]),
        "changed_by": "anna",
        "changed_at": _now(),
        "revision": mutator.randrange(1, 4),
        "action": mutator.choice(["applied", "deleted", "x"]),
        "comment": mutator.like(""),
        "change_id": str(number),
    }


def _approval(mutator: Mutator, number: int) -> Record:
    return {
        "rule_id": f"r{number % 50}",
        "revision": mutator.randrange(1, 4),
        "change_id": str(uuid.UUID(int=mutator.getrandbits(128))),
        "content_sha256": mutator.randbytes(32).hex(),
        "approved_by": mutator.choice(["User:anna", "User:ben", ""]),
        "authenticated": mutator.chance(2),
        "approved_at": _now(),
    }


def _list_entry(mutator: Mutator, number: int) -> Record:
    kind = mutator.choice(["merchant", "country", "x"])
    changed = {"comment": "", "changed_by": "anna", "changed_at": _now()}
    return {
        "list_name": f"l{number % 5}", "kind": kind, "value": mutator.like(""), "present": mutator.chance(2), **changed
    }  # fmt: skip


def _rule_status(mutator: Mutator, number: int) -> Record:
    known = {"detector": "d", "rule_id": f"r{number % 50}", "revision": 1, "rule_version": 1}
    return {**known, "state": mutator.choice(["active", "x"]), "error": mutator.like(""), "at": _now()}


def _around(mutator: Mutator, value: bytes | None) -> FuzzedMessage:
    """A message with a key and headers of any kind, within the size that the broker takes."""
    key = mutator.choice([None, b"", b"k", mutator.randbytes(16)])
    headers: list[tuple[str, bytes | None]] = []
    if mutator.chance(8):
        count = mutator.choice([1, 2, 200])
        headers = [(mutator.choice(["", "traceparent", "h", "é\x00"]), mutator.randbytes(8)) for _ in range(count)]
        headers.append(("traceparent", None))
    if mutator.chance(100):
        key = mutator.randbytes(min(mutator.size(), MAX_BYTES - len(value or b"")))
    return FuzzedMessage(value, key, tuple(headers))


def _card(number: int) -> str:
    return f"{number % 500:032x}"


def _now() -> int:
    return time.time_ns() // 1000
