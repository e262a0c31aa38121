"""The Delta tables: names, paths, columns. The only place where they are defined.

Times are TIMESTAMP: microseconds, UTC. Every row says which Kafka message it came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Readers other than Spark (delta-rs, DuckDB, Polars) know no deletion vectors.
_PROPERTIES: Final = {"delta.enableDeletionVectors": "false"}
# A micro-batch writes a small file: once there are 50, the writer makes one of them.
_COMPACTED: Final = {**_PROPERTIES, "delta.autoOptimize.autoCompact": "true"}


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table.

    Attributes:
        name: ``<layer>.<what>``; also the name of the query that writes it and of its checkpoint.
        columns: name → type, in the words of Spark's SQL.
        partitioned_by: columns whose values are directories.
        properties: Delta's table properties.
    """

    name: str
    columns: Mapping[str, str]
    partitioned_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: _COMPACTED)

    def path(self, tables_dir: str) -> str:
        """Where it is: ``<tables_dir>/<layer>/<what>``."""
        return f"{tables_dir.rstrip('/')}/{self.name.replace('.', '/')}"


# Every message of the raw topic and of the legacy JSON topic as it came, card numbers alone masked.
BRONZE_TRANSACTIONS: Final = Table(
    "bronze.transactions",
    {
        "topic": "STRING",
        "partition": "INT",
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",
        "timestamp_type": "STRING",  # LogAppendTime: the broker's clock; CreateTime: the producer's
        "key": "BINARY",
        "value": "BINARY",
        "headers": "ARRAY<STRUCT<key: STRING, value: BINARY>>",
        "redacted": "BOOLEAN",  # digits of a card number in key, value or headers were replaced by *
        "ingested_at": "TIMESTAMP",
        "ingest_date": "DATE",
    },
    partitioned_by=("ingest_date",),
)

# One row a transaction that a detector did not evaluate, because it came after its groups of the state were gone.
BRONZE_LATE: Final = Table(
    "bronze.late",
    {
        "transaction_id": "STRING",
        "event_time": "TIMESTAMP",
        "card_token": "STRING",
        "detector": "STRING",
        "query": "STRING",  # the detector's query: velocity-<its scopes>
        "scopes": "ARRAY<STRING>",  # those that did not evaluate it
        "watermark": "TIMESTAMP",  # what its event time had to be compared with
        "lateness_seconds": "DOUBLE",  # watermark - event_time
        "silver_partition": "INT",
        "silver_offset": "BIGINT",
        "value": "BINARY",  # the silver message as it came
        "partition": "INT",  # of the late topic, as offset and broker_time
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",
    },
)

# Messages of the silver, the late and the alerts topic that no reader can decode.
BRONZE_QUARANTINE: Final = Table(
    "bronze.quarantine",
    {
        "topic": "STRING",
        "partition": "INT",
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",
        "key": "BINARY",
        "value": "BINARY",
        "reason": "STRING",  # a code of cardwatch_contracts.reasons.Reason
        "redacted": "BOOLEAN",
        "quarantined_at": "TIMESTAMP",
    },
    # Several queries write it: compaction by one could get in the way of another, and there is little to compact.
    properties=_PROPERTIES,
)

# One row a transaction: the fields of enriched_transaction.avsc, of the first message that held it.
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
        "event_date": "DATE",
    },
    partitioned_by=("event_date",),
)

# One row an alert, as its last event left it: the fields of alert.avsc.
GOLD_ALERTS: Final = Table(
    "gold.alerts",
    {
        "alert_id": "STRING",
        "status": "STRING",  # raised, suppressed, or retracted since
        "rule_id": "STRING",
        "rule_version": "INT",
        "rule_title": "STRING",
        "severity": "STRING",
        "mode": "STRING",
        "scope": "STRING",
        "key": "STRING",
        "transaction_id": "STRING",
        "event_time": "TIMESTAMP",
        "card_token": "STRING",
        "card_bin": "STRING",
        "card_last_four": "STRING",
        "merchant_id": "STRING",
        "country": "STRING",
        "amount_minor": "BIGINT",
        "currency": "STRING",
        "base_amount_minor": "BIGINT",
        # value is for reading; value_long is exact where the measure is a whole number, and null where it is not.
        "measures": (
            "ARRAY<STRUCT<name: STRING, expression: STRING, window_us: BIGINT, value: DOUBLE, value_long: BIGINT, "
            "text: STRING>>"
        ),
        "window_start": "TIMESTAMP",
        "evidence_transaction_ids": "ARRAY<STRING>",
        "evidence_count": "BIGINT",
        "raw_broker_time": "TIMESTAMP",
        "detected_at": "TIMESTAMP",
        "suppressed_by": "STRING",  # the alert_id of the alert that a suppressed one is counted on
        "alert_partition": "INT",
        "alert_offset": "BIGINT",
        "alert_broker_time": "TIMESTAMP",
    },
)

# One row a card and settled day with a counted transaction (docs/rules.md, Baselines). Whole days are replaced.
GOLD_CARD_DAYS: Final = Table(
    "gold.card_days",
    {
        "card_token": "STRING",
        "day": "DATE",
        "transactions": "BIGINT",
        "sum_minor": "DECIMAL(38,0)",  # of base_amount_minor; exact, as is the next
        "sum_squares": "DECIMAL(38,0)",
        "max_minor": "BIGINT",
        "countries": "ARRAY<STRING>",
        "hours": "INT",  # bit h is set if there was one in hour h of the day, UTC
    },
    partitioned_by=("day",),
    # A partition is written at once, as one file.
    properties=_PROPERTIES,
)

# One row a card and day: the fields of card_profile.avsc.
GOLD_CARD_PROFILE: Final = Table(
    "gold.card_profile",
    {
        "card_token": "STRING",
        "valid_on": "DATE",
        "transactions_30d": "BIGINT",
        "mean_amount_minor_30d": "DOUBLE",
        "stddev_amount_minor_30d": "DOUBLE",
        "transactions_90d": "BIGINT",
        "mean_amount_minor_90d": "DOUBLE",
        "stddev_amount_minor_90d": "DOUBLE",
        "max_amount_minor_90d": "BIGINT",
        "active_days_90d": "BIGINT",
        "countries_90d": "ARRAY<STRING>",
        "hours_90d": "ARRAY<INT>",
        "changed_by": "STRING",  # id of the query and number of the micro-batch that made the row what it is
    },
    partitioned_by=("valid_on",),
    properties=_PROPERTIES,
)

ALL_TABLES: Final = (
    BRONZE_TRANSACTIONS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    SILVER_TRANSACTIONS,
    GOLD_ALERTS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
)
