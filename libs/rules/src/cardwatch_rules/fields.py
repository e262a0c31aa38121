"""The fields of a silver transaction that a rule may use, and their types."""

from typing import Final

import polars as pl
import pyarrow as pa

# Field of enriched_transaction.avsc → type. A test checks names and types against that schema.
# Identity and time are always there; the rest is what conditions and measures can name.
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

# Which column is the key of a scope's windows.
SCOPE_KEYS: Final[dict[str, str]] = {
    "card": "card_token",
    "merchant": "merchant_id",
}

_POLARS: Final[dict[pa.DataType, pl.DataType]] = {
    pa.string(): pl.String(),
    pa.int64(): pl.Int64(),
    pa.int32(): pl.Int32(),
    pa.float64(): pl.Float64(),
}


def polars_schema() -> dict[str, pl.DataType]:
    """RULE_FIELDS as a Polars schema."""
    return {name: _POLARS[kind] for name, kind in RULE_FIELDS.items()}
