"""The fields of a silver transaction that a rule may use, and their types; the scopes and their keys."""

from typing import Final

import polars as pl
import pyarrow as pa
from cardwatch_contracts.values import CHANNELS, STATUSES, TRANSACTION_TYPES

from cardwatch_rules.type_check import Kind

# Field of enriched_transaction.avsc → type. A test checks names and types against that schema.
RULE_FIELDS: Final[dict[str, pa.DataType]] = {
    "transaction_id": pa.string(),
    "card_token": pa.string(),
    "card_bin": pa.string(),
    "merchant_id": pa.string(),
    "merchant_category_code": pa.string(),
    "merchant_category_group": pa.string(),
    "country": pa.string(),
    "bin_country": pa.string(),
    "channel": pa.string(),
    "transaction_type": pa.string(),
    "status": pa.string(),
    "currency": pa.string(),
    "amount_minor": pa.int64(),
    "base_amount_minor": pa.int64(),
    "device_id": pa.string(),
    "ip_address": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "hour_of_day": pa.int32(),
    "day_of_week": pa.int32(),
}

# Scope → the column with the key of its windows. A transaction without a key is in none of the scope's windows.
SCOPE_KEYS: Final[dict[str, str]] = {
    "card": "card_token",
    "merchant": "merchant_id",
    "device": "device_id",
    "ip": "ip_address",
    "bin": "card_bin",
}

# The possible values of fields, where they are known: a condition that demands others can never be true.
TEXT_VALUES: Final[dict[str, frozenset[str]]] = {
    "channel": CHANNELS,
    "transaction_type": TRANSACTION_TYPES,
    "status": STATUSES,
}
NUMBER_RANGES: Final[dict[str, tuple[float, float]]] = {
    "amount_minor": (0, float("inf")),
    "base_amount_minor": (0, float("inf")),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
    "hour_of_day": (0, 23),
    "day_of_week": (1, 7),
}

_POLARS: Final[dict[pa.DataType, pl.DataType]] = {
    pa.string(): pl.String(),
    pa.int64(): pl.Int64(),
    pa.int32(): pl.Int32(),
    pa.float64(): pl.Float64(),
}
_KINDS: Final[dict[pa.DataType, Kind]] = {
    pa.string(): Kind.TEXT,
    pa.int64(): Kind.INTEGER,
    pa.int32(): Kind.INTEGER,
    pa.float64(): Kind.DOUBLE,
}

# The profile values that rules of the scope `card` may use: field of card_profile.avsc → its kind.
PROFILE_FIELDS: Final[dict[str, Kind]] = {
    "transactions_30d": Kind.INTEGER,
    "mean_amount_minor_30d": Kind.DOUBLE,
    "stddev_amount_minor_30d": Kind.DOUBLE,
    "transactions_90d": Kind.INTEGER,
    "mean_amount_minor_90d": Kind.DOUBLE,
    "stddev_amount_minor_90d": Kind.DOUBLE,
    "max_amount_minor_90d": Kind.INTEGER,
    "active_days_90d": Kind.INTEGER,
    "countries_90d": Kind.TEXTS,
    "hours_90d": Kind.INTEGERS,
}
PROFILE_SCOPE: Final = "card"
# The field of card_profile.avsc with the UTC day that a profile is for.
PROFILE_DAY: Final = "valid_on"

FIELD_KINDS: Final[dict[str, Kind]] = {name: _KINDS[kind] for name, kind in RULE_FIELDS.items()}


def profile_name(field: str) -> str:
    """The name of a profile field in rules, which is also the name of its column."""
    return f"profile.{field}"


PROFILE_KINDS: Final[dict[str, Kind]] = {profile_name(field): kind for field, kind in PROFILE_FIELDS.items()}


def polars_schema() -> dict[str, pl.DataType]:
    """RULE_FIELDS as a Polars schema."""
    return {name: _POLARS[kind] for name, kind in RULE_FIELDS.items()}
