"""Gold: alerts and their labels, card profiles, window sums and the pipeline's own minutes."""

from typing import Final

from cardwatch_lakehouse.tables.table import READABLE_BY_ALL, Table

# One row per alert in its last state: the fields of alert.avsc.
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
        # value is for reading; value_long is exact if the measure is a whole number, and null otherwise.
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
        # The label of an analyst, null if there is none: the fields of alert_feedback.avsc.
        "label": "STRING",  # fraud, legitimate or unclear
        "labelled_by": "STRING",
        "labelled_at": "TIMESTAMP",
        "label_note": "STRING",
    },
    key=("alert_id",),
)

# One row per alert that an analyst has labelled: the current label, whether the alert is in gold.alerts yet or not.
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

# One row per card and settled day with a counted transaction (docs/rules.md, Baselines). Whole days are replaced.
GOLD_CARD_DAYS: Final = Table(
    "gold.card_days",
    {
        "card_token": "STRING",
        "day": "DATE",
        "transactions": "BIGINT",
        "sum_minor": "DECIMAL(38,0)",  # of base_amount_minor; exact, as is sum_squares
        "sum_squares": "DECIMAL(38,0)",
        "max_minor": "BIGINT",
        "countries": "ARRAY<STRING>",
        "hours": "INT",  # bit h is set if there was a transaction in hour h of the day, UTC
    },
    partitioned_by=("day",),
    # A partition is written in one commit, as one file.
    properties=READABLE_BY_ALL,
    key=("card_token", "day"),
)

# One row per card and day: the fields of card_profile.avsc.
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
        "changed_by": "STRING",  # id of the query and number of the micro-batch that changed the row last
    },
    partitioned_by=("valid_on",),
    properties=READABLE_BY_ALL,
    key=("card_token", "valid_on"),
)

# One row per window of five minutes (event time, aligned to the epoch), dimension and key with a transaction.
# Computed from all transactions of silver, of any status; those with a null key are in no row of the dimension.
GOLD_VELOCITY_5M: Final = Table(
    "gold.velocity_5m",
    {
        "window_start": "TIMESTAMP",  # the window is [window_start, window_end)
        "window_end": "TIMESTAMP",
        "dimension": "STRING",  # card, merchant, country or category: which field of silver the key is a value of
        "key": "STRING",
        "transactions": "BIGINT",
        "base_amount_minor": "DECIMAL(38,0)",  # exact sum; 0 if all are null
        "declined_transactions": "BIGINT",
        "counted_transactions": "BIGINT",  # approved, without refunds (docs/rules.md, Baselines)
        "counted_amount_minor": "DECIMAL(38,0)",  # sum of base_amount_minor of these
        "distinct_cards": "BIGINT",  # number of different values, null not counted; as the next two
        "distinct_merchants": "BIGINT",
        "distinct_countries": "BIGINT",
        "window_date": "DATE",  # of window_start, UTC
    },
    partitioned_by=("window_date",),
    # Whole windows are replaced. In a file with other windows, each replacement would rewrite these too.
    # The log has the smallest and largest values of the first four columns, which queries filter by.
    properties={**READABLE_BY_ALL, "delta.dataSkippingNumIndexedCols": "4"},
    key=("window_start", "dimension", "key"),
)

# One row per minute in which anything happened, and service (docs/pipeline-minutes.md). Whole minutes are replaced.
GOLD_PIPELINE_MINUTES: Final = Table(
    "gold.pipeline_minutes",
    {
        "minute": "TIMESTAMP",  # the beginning of the minute, UTC
        "service": "STRING",  # producer, enricher, detector, lakehouse, or another one that refused messages
        "rows": "BIGINT",  # number of rows that the service has written
        "refused": "BIGINT",
        "late": "BIGINT",  # transactions that came too late for the detector
        "alerts_raised": "BIGINT",
        "alerts_suppressed": "BIGINT",
        "alerts_retracted": "BIGINT",
        "latency_p50_ms": "BIGINT",  # exact: the value at that rank; null if there was nothing to measure
        "latency_p95_ms": "BIGINT",
        "latency_p99_ms": "BIGINT",
        "latency_max_ms": "BIGINT",
        "minute_date": "DATE",
    },
    partitioned_by=("minute_date",),
    # As gold.velocity_5m.
    properties=READABLE_BY_ALL,
    key=("minute", "service"),
)
