"""Silver: every valid transaction once, enriched."""

from typing import Final

from cardwatch_lakehouse.tables.table import Table

# One row per transaction: the fields of enriched_transaction.avsc, from the first message with its id.
SILVER_TRANSACTIONS: Final = Table(
    "silver.transactions",
    {
        "transaction_id": "STRING",
        "event_time": "TIMESTAMP",
        "card_token": "STRING",
        "card_token_key_id": "STRING",
        "card_bin": "STRING",
        "card_last_four": "STRING",
        "amount_minor": "BIGINT",
        "currency": "STRING",
        "merchant_id": "STRING",
        "merchant_category_code": "STRING",
        "country": "STRING",
        "channel": "STRING",
        "transaction_type": "STRING",
        "status": "STRING",
        "device_id": "STRING",
        "ip_address": "STRING",
        "latitude": "DOUBLE",
        "longitude": "DOUBLE",
        "base_currency": "STRING",
        "base_amount_minor": "BIGINT",
        "merchant_category_group": "STRING",
        "bin_country": "STRING",
        "hour_of_day": "INT",
        "day_of_week": "INT",
        "raw_topic": "STRING",
        "raw_partition": "INT",
        "raw_offset": "BIGINT",
        "raw_broker_time": "TIMESTAMP",
        "enriched_at": "TIMESTAMP",
        "silver_partition": "INT",
        "silver_offset": "BIGINT",
        "silver_broker_time": "TIMESTAMP",
        # The last ones, where they are in tables of older versions too: Delta keeps statistics of the first 32.
        "other_card_token": "STRING",
        "other_card_token_key_id": "STRING",
        "event_date": "DATE",
    },
    partitioned_by=("event_date",),
)
