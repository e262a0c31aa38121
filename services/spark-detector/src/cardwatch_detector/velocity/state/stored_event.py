"""How the state keeps one transaction: a stamp of 17 bytes, then what rules and alerts may ask for, as Avro.

    event time   8 bytes, microseconds, big endian with the sign bit flipped: bytes in order are times in order
    micro-batch  8 bytes, its time, the same way
    layout       1 byte: which fields follow
    fields       Avro, without names: the schema of the layout

Spark copies the events of a group more than a dozen times each time the group is touched: bytes are what the state
costs. The silver message as it came would take nearly twice as many.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from cardwatch_rules.fields import PROFILE_DAY, PROFILE_FIELDS, PROFILE_SCOPE, SCOPE_KEYS
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import from_avro, to_avro

from cardwatch_detector.runtime.confluent_avro import projection

# What a stored event holds beside its times: the fields of the silver schema that rules can name or alerts show.
# Only this program reads it, but a state outlives the program that wrote it: another choice is another layout, and
# ``unpack`` has to go on reading this one. A test compares them with what rules can name.
_LAYOUT: Final = 1
# A card's profile, among the events of the card: stamped with the beginning of its day, then the profile's fields.
_PROFILE_LAYOUT: Final = 2
_FIELDS: Final = (
    "amount_minor",
    "base_amount_minor",
    "bin_country",
    "card_bin",
    "card_last_four",
    "card_token",
    "channel",
    "country",
    "currency",
    "day_of_week",
    "device_id",
    "hour_of_day",
    "ip_address",
    "latitude",
    "longitude",
    "merchant_category_code",
    "merchant_category_group",
    "merchant_id",
    "raw_broker_time",
    "status",
    "transaction_id",
    "transaction_type",
)

_SCHEMA: Final = "enriched_transaction"
_PROFILE: Final = "card_profile"
_SIGN: Final = -(2**63)
_TIME_BYTES: Final = 8
_STAMP_BYTES: Final = 2 * _TIME_BYTES
_FIELDS_AT: Final = _STAMP_BYTES + 2  # as substring counts, from 1

# What the key of a scope is where it is not stored, because the whole group has it.
KEY_NOT_STORED: Final = ""


def stored_fields(scope: str) -> list[str]:
    """The fields that an event in a group of this scope holds; the key itself is the group's."""
    return [field for field in _FIELDS if field != SCOPE_KEYS[scope]]


def fields_to_read(scopes: Iterable[str]) -> list[str]:
    """What has to be decoded of a silver message to store it."""
    return sorted({"event_time", *(SCOPE_KEYS[scope] for scope in scopes), *_FIELDS})


def pack(scope: str, event_us: Column, batch: Column, transaction: Column) -> Column:
    """The stored event, binary; null where there is no transaction, or it could not be decoded.

    Args:
        event_us: event time, microseconds.
        batch: the micro-batch's time (``ordered``).
        transaction: struct with ``fields_to_read``.
    """
    fields = stored_fields(scope)
    record = to_avro(F.struct(*(transaction[field].alias(field) for field in fields)), projection(_SCHEMA, fields))
    stamp = F.concat(ordered(event_us), batch, F.lit(bytes([_LAYOUT])))
    return F.when(event_us.isNotNull() & transaction.isNotNull(), F.concat(stamp, record))


def pack_profile(profile: Column, batch: Column) -> Column:
    """The stored profile, binary; null where there is none.

    Args:
        profile: struct with ``profile_fields_to_read``.
        batch: the micro-batch's time (``ordered``).
    """
    record = to_avro(
        F.struct(*(profile[field].alias(field) for field in PROFILE_FIELDS)), projection(_PROFILE, PROFILE_FIELDS)
    )
    stamp = F.concat(ordered(F.unix_micros(profile[PROFILE_DAY])), batch, F.lit(bytes([_PROFILE_LAYOUT])))
    return F.when(profile[PROFILE_DAY].isNotNull(), F.concat(stamp, record))


def profile_fields_to_read() -> list[str]:
    """What has to be decoded of a profile message to store it."""
    return sorted({SCOPE_KEYS[PROFILE_SCOPE], PROFILE_DAY, *PROFILE_FIELDS})


def is_profile(event: Column) -> Column:
    """Whether a stored event is a profile."""
    return F.substring(event, _STAMP_BYTES + 1, 1) == F.lit(bytes([_PROFILE_LAYOUT]))


def unpack_profile(event: Column) -> Column:
    """The fields of a stored profile as a struct; null for any other event."""
    record = from_avro(F.substring(event, _FIELDS_AT, 2**31 - 1), projection(_PROFILE, PROFILE_FIELDS))
    return F.when(is_profile(event), record)


def event_us(event: Column) -> Column:
    """A stored event's time in microseconds. Slow: for single events."""
    return F.conv(F.hex(F.substring(event, 1, _TIME_BYTES)), 16, -10).cast("long").bitwiseXOR(F.lit(_SIGN))


def came_with(event: Column, batch: Column) -> Column:
    """Whether a stored event came with the micro-batch of that time (``ordered``)."""
    return F.substring(event, _TIME_BYTES + 1, _TIME_BYTES) == batch


def stamp(event: Column) -> Column:
    """Both times of a stored event, as ``times`` takes them."""
    return F.substring(event, 1, _STAMP_BYTES)


def unpack(scopes: Iterable[str], scope: Column, event: Column, fields: Iterable[str]) -> Column:
    """The fields of a stored event as a struct; the key of its scope is KEY_NOT_STORED."""
    wanted = list(fields)
    reader = _with_empty_keys(projection(_SCHEMA, wanted))
    avro = F.substring(event, _FIELDS_AT, 2**31 - 1)
    records = [
        (name, from_avro(avro, projection(_SCHEMA, stored_fields(name)), {"avroSchema": reader})) for name in scopes
    ]
    (first, record), *others = records
    chosen = F.when(scope == first, record)
    for name, other in others:
        chosen = chosen.when(scope == name, other)
    return chosen


def ordered(us: Column) -> Column:
    """Microseconds as 8 bytes whose order is the order of times.

    Also the right form for what changes with each micro-batch: a number would stand in the code that Spark generates,
    and each micro-batch would compile it anew; bytes are handed to it.
    """
    return F.unhex(F.lpad(F.hex(us.bitwiseXOR(F.lit(_SIGN))), 2 * _TIME_BYTES, "0"))


def times(stamps: Any, width: int = 2) -> Any:
    """Microseconds (NumPy, int64, a row each) from an Arrow array, without nulls, of stamps or of ``ordered`` times.

    Args:
        width: how many times an element holds.
    """
    chunk = stamps.combine_chunks() if hasattr(stamps, "combine_chunks") else stamps
    offsets = np.frombuffer(chunk.buffers()[1], np.int32, chunk.offset + len(chunk) + 1)
    raw = np.frombuffer(chunk.buffers()[2], np.uint8, len(chunk) * width * _TIME_BYTES, int(offsets[chunk.offset]))
    return (raw.view(">u8").astype(np.uint64) ^ np.uint64(2**63)).astype(np.int64).reshape(-1, width)


def _with_empty_keys(reader: str) -> str:
    schema = json.loads(reader)
    for field in schema["fields"]:
        if field["name"] in SCOPE_KEYS.values():
            # The default of a union is of its first member.
            field["type"] = ["string", "null"] if isinstance(field["type"], list) else field["type"]
            field["default"] = KEY_NOT_STORED
    return json.dumps(schema)
