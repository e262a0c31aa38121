"""Bronze: messages as received, and those that were refused or came too late."""

from typing import Final

from cardwatch_lakehouse.tables.table import APPEND_ONLY, READABLE_BY_ALL, Table

# Every message of the raw topic and of the legacy JSON topic as received, with only card numbers masked.
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

# One row per transaction that a detector did not evaluate, because its state of that time was already expired.
BRONZE_LATE: Final = Table(
    "bronze.late",
    {
        "transaction_id": "STRING",
        "event_time": "TIMESTAMP",
        "card_token": "STRING",
        "detector": "STRING",
        "query": "STRING",  # the detector's query: velocity-<its scopes>
        "scopes": "ARRAY<STRING>",  # the scopes that did not evaluate it
        "watermark": "TIMESTAMP",  # the watermark that its event time was compared with
        "lateness_seconds": "DOUBLE",  # watermark - event_time
        "silver_partition": "INT",
        "silver_offset": "BIGINT",
        "value": "BINARY",  # the silver message as received
        "partition": "INT",  # of the late topic, as offset and broker_time
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",
    },
)

# One row per refused message and service: dead letters of every service, and messages that the lakehouse cannot decode.
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
        "service": "STRING",  # the service that refused it: enricher, notifier, …; null in older rows: the lakehouse
        "detail": "STRING",  # that service's sentence: what is wrong with it
        "headers": "ARRAY<STRUCT<key: STRING, value: BINARY>>",
        "refused_at": "TIMESTAMP",  # that service's clock
        # Position of the dead letter; null if there is none.
        "dead_letter_topic": "STRING",
        "dead_letter_partition": "INT",
        "dead_letter_offset": "BIGINT",
        "dead_letter_broker_time": "TIMESTAMP",
    },
    # Several queries write it: compaction by one could conflict with another, and there is little to compact.
    properties=READABLE_BY_ALL,
)

# One row per event of an alert: raised, suppressed, retracted. A detector that was killed publishes some events again.
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

# The audit trail: every message of the topics of rules and lists, tombstones and undecodable ones included, as a hash
# chain per partition (cardwatch_lakehouse.audit). Rows are kept for ever.
BRONZE_RULE_CHANGES: Final = Table(
    "bronze.rule_changes",
    {
        "topic": "STRING",
        "partition": "INT",
        "offset": "BIGINT",
        "broker_time": "TIMESTAMP",  # null for a time that is no real one
        "key": "BINARY",
        "value": "BINARY",  # null for a tombstone
        "redacted": "BOOLEAN",  # digits of a card number in key or value were replaced by *
        "previous_hash": "STRING",  # of the row before it in its partition; 64 zeros for the first
        "hash": "STRING",  # SHA-256 over previous_hash and all columns before it
        "recorded_at": "TIMESTAMP",  # the lakehouse's clock; not part of the hash
    },
    properties=APPEND_ONLY,
)
