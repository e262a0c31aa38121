"""The state: every transaction of a key, in groups of twice the horizon that overlap by half.

    horizon H = 24 h        ├── group k ────────────────┤
                                        ├── group k + 1 ────────────┤
                            |  history  | evaluated    |
    transaction at t                         t: evaluated in group k, where all of (t − H, t] lies;
                                                history in group k + 1

Spark's own operator keeps it (``collect_list`` per key and window), so it is checkpointed, held by RocksDB and evicted
by the watermark. Events are kept, not sums: a changed rule acts on all of its window at once.
"""

from collections.abc import Sequence
from typing import Final

from cardwatch_rules.fields import RULE_FIELDS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Kept beside the fields that rules may use: what an alert shows, and what latency is counted from.
ALERT_FIELDS: Final = ("card_last_four", "raw_broker_time")
STATE_FIELDS: Final = (*RULE_FIELDS, *ALERT_FIELDS)

# Columns of the state's output.
KEY: Final = "key"
EVALUATE_FROM: Final = "evaluate_from"
EVENTS: Final = "events"
BATCH: Final = "this_batch_us"

# Elements of EVENTS beside STATE_FIELDS.
EVENT_TIME: Final = "event_time"
BATCH_TIME: Final = "batch_us"
IS_NEW: Final = "is_new"


def keep_events(silver: DataFrame, key_column: str, horizon_us: int, lateness_us: int) -> DataFrame:
    """The groups that a micro-batch touched, each with all its events.

    Args:
        silver: STATE_FIELDS and ``event_time`` (timestamp).
        key_column: whose windows. Rows without an event time are in no group; nothing is filtered here, because Spark
            would move the filter below the decoding, and decode every message once more for it.

    Returns:
        KEY, EVALUATE_FROM (microseconds: where the group's second half begins), EVENTS (array of structs) and BATCH
        (microseconds: the micro-batch's own time, which the retry of a batch has again).
    """
    batch_time = F.unix_micros(F.current_timestamp())
    return (
        silver
        # A column of its own, because inside the aggregate Spark takes the batch's time for non-deterministic.
        .withColumn(BATCH_TIME, batch_time)
        .withWatermark(EVENT_TIME, f"{lateness_us} microseconds")
        .groupBy(
            F.col(key_column).alias(KEY),
            F.window(EVENT_TIME, f"{2 * horizon_us} microseconds", f"{horizon_us} microseconds").alias("period"),
        )
        .agg(
            F.collect_list(
                F.struct(
                    F.unix_micros(EVENT_TIME).alias(EVENT_TIME),
                    F.col(BATCH_TIME),
                    *(_micros(field) for field in STATE_FIELDS),
                )
            ).alias(EVENTS)
        )
        .select(
            KEY,
            (F.unix_micros(F.col("period.start")) + F.lit(horizon_us)).alias(EVALUATE_FROM),
            EVENTS,
            batch_time.alias(BATCH),
        )
    )


def relevant(groups: DataFrame, fields: Sequence[str], longest_window_us: int) -> DataFrame:
    """Leave behind, in the JVM, what the evaluation of a micro-batch cannot need.

    Groups in which nothing is to be evaluated, events too old for any window that ends with or after an arrival, and
    fields that no rule uses.

    Args:
        groups: as ``keep_events`` returns them.
        fields: of STATE_FIELDS, those to keep.
        longest_window_us: among the rules of the scope.

    Returns:
        KEY, EVALUATE_FROM and EVENTS, whose elements have ``event_time``, IS_NEW and the fields.
    """
    new_from = F.array_min(
        F.transform(F.filter(EVENTS, lambda event: event[BATCH_TIME] == F.col(BATCH)), lambda event: event[EVENT_TIME])
    )
    return (
        groups.withColumn("new_from", new_from)
        .where(
            F.exists(
                EVENTS,
                lambda event: (event[EVENT_TIME] >= F.col(EVALUATE_FROM)) & (event[EVENT_TIME] >= F.col("new_from")),
            )
        )
        .select(
            KEY,
            EVALUATE_FROM,
            F.transform(
                F.filter(EVENTS, lambda event: event[EVENT_TIME] > F.col("new_from") - F.lit(longest_window_us)),
                lambda event: F.struct(
                    event[EVENT_TIME].alias(EVENT_TIME),
                    (event[BATCH_TIME] == F.col(BATCH)).alias(IS_NEW),
                    *(event[field].alias(field) for field in fields),
                ),
            ).alias(EVENTS),
        )
    )


def _micros(field: str) -> Column:
    return F.unix_micros(field).alias(field) if field == "raw_broker_time" else F.col(field)
