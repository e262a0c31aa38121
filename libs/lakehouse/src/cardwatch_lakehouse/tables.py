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
        key: columns whose values identify a row, none of them null; empty where rows have no identity of their own.
            Who copies a table elsewhere (Snowflake) matches rows by it.
    """

    name: str
    columns: Mapping[str, str]
    partitioned_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: _COMPACTED)
    key: tuple[str, ...] = ()

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

# One row a refused message and service: dead letters of every service, and what the lakehouse cannot decode itself.
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
        "service": "STRING",  # who refused it: enricher, notifier, ...; lakehouse, or null in older rows: the lakehouse
        "detail": "STRING",  # one sentence of that service's: what is wrong with it
        "headers": "ARRAY<STRUCT<key: STRING, value: BINARY>>",
        "refused_at": "TIMESTAMP",  # that service's clock
        # Where the dead letter is; null where there is none.
        "dead_letter_topic": "STRING",
        "dead_letter_partition": "INT",
        "dead_letter_offset": "BIGINT",
        "dead_letter_broker_time": "TIMESTAMP",
    },
    # Several queries write it: compaction by one could get in the way of another, and there is little to compact.
    properties=_PROPERTIES,
)

# One row an event of an alert: raised, suppressed, retracted. A detector that was killed publishes some of them again.
BRONZE_ALERT_EVENTS: Final = Table(
    "bronze.alert_events",
    {
        "alert_id": "STRING",
        "status": "STRING",
        "suppressed_by": "STRING",
        "raw_broker_time": "TIMESTAMP",  # of the message that caused the event
        "rule_id": "STRING",
        "mode": "STRING",
        "partition": "INT",  # of the alerts topic, as offset and broker_time
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",
    },
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
        # What an analyst says of it, null where nobody has said anything: the fields of alert_feedback.avsc.
        "label": "STRING",  # fraud, legitimate or unclear
        "labelled_by": "STRING",
        "labelled_at": "TIMESTAMP",
        "label_note": "STRING",
    },
    key=("alert_id",),
)

# One row an alert that an analyst has labelled: the label that holds, whether the alert is in gold.alerts yet or not.
GOLD_ALERT_LABELS: Final = Table(
    "gold.alert_labels",
    {
        "alert_id": "STRING",
        "label": "STRING",
        "labelled_by": "STRING",
        "labelled_at": "TIMESTAMP",
        "label_note": "STRING",
        "feedback_partition": "INT",
        "feedback_offset": "BIGINT",
        "feedback_broker_time": "TIMESTAMP",
    },
    key=("alert_id",),
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
    key=("card_token", "day"),
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
    key=("card_token", "valid_on"),
)

# One row a window of five minutes (event time, aligned to the epoch), dimension and key with at least one transaction.
# Made of all of silver's transactions, whatever their status; those whose key is null are in no row of the dimension.
GOLD_VELOCITY_5M: Final = Table(
    "gold.velocity_5m",
    {
        "window_start": "TIMESTAMP",  # the window is [window_start, window_end)
        "window_end": "TIMESTAMP",
        "dimension": "STRING",  # card, merchant, country or category: which field of silver the key is a value of
        "key": "STRING",
        "transactions": "BIGINT",
        "base_amount_minor": "DECIMAL(38,0)",  # exact sum; 0 where all are null
        "declined_transactions": "BIGINT",
        "counted_transactions": "BIGINT",  # approved, and no refund (docs/rules.md, Baselines)
        "counted_amount_minor": "DECIMAL(38,0)",  # sum of base_amount_minor of these
        "distinct_cards": "BIGINT",  # different values, null being none; as the next two
        "distinct_merchants": "BIGINT",
        "distinct_countries": "BIGINT",
        "window_date": "DATE",  # of window_start, UTC
    },
    partitioned_by=("window_date",),
    # A window is replaced whole: compacted with others while it is in progress, it would take them with it each time.
    # Files tell the least and the most of the first four columns: those that one looks for.
    properties={**_PROPERTIES, "delta.dataSkippingNumIndexedCols": "4"},
    key=("window_start", "dimension", "key"),
)

# One row a minute in which anything happened and service (docs/pipeline-minutes.md). Whole minutes are replaced.
GOLD_PIPELINE_MINUTES: Final = Table(
    "gold.pipeline_minutes",
    {
        "minute": "TIMESTAMP",  # when it begins, UTC
        "service": "STRING",  # producer, enricher, detector or lakehouse; another one that has refused something
        "rows": "BIGINT",  # what the service has put out
        "refused": "BIGINT",
        "late": "BIGINT",  # transactions that came too late for the detector
        "alerts_raised": "BIGINT",
        "alerts_suppressed": "BIGINT",
        "alerts_retracted": "BIGINT",
        "latency_p50_ms": "BIGINT",  # exact: the value at that rank; null where there is nothing to measure
        "latency_p95_ms": "BIGINT",
        "latency_p99_ms": "BIGINT",
        "latency_max_ms": "BIGINT",
        "minute_date": "DATE",
    },
    partitioned_by=("minute_date",),
    # As gold.velocity_5m.
    properties=_PROPERTIES,
    key=("minute", "service"),
)

DERIVED_TABLES: Final = (GOLD_CARD_DAYS, GOLD_CARD_PROFILE, GOLD_VELOCITY_5M, GOLD_PIPELINE_MINUTES)
"""Those that bronze and silver determine: made of them, they can be made of them again."""

ALL_TABLES: Final = (
    BRONZE_TRANSACTIONS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_ALERT_EVENTS,
    SILVER_TRANSACTIONS,
    GOLD_ALERTS,
    GOLD_ALERT_LABELS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
    GOLD_VELOCITY_5M,
    GOLD_PIPELINE_MINUTES,
)
