"""The state: every transaction of a key, in groups of twice the horizon that overlap by half.

    horizon H = 24 h        ├── group k ────────────────┤
                                        ├── group k + 1 ────────────┤
                            |  history  | evaluated    |
    transaction at t                         t: evaluated in group k, where all of (t − H, t] lies;
                                                history in group k + 1

Spark's own operator keeps it (``collect_list`` per key and window), so it is checkpointed, held by RocksDB and evicted
by the watermark. Events are kept, not sums: a changed rule acts on all of its window at once. An event is the silver
message as it came: Spark then moves a few bytes instead of some thirty fields each time a list is touched, and a rule
may use any field that the message has.
"""

from collections.abc import Callable
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Columns that go in.
KEY: Final = "key"
EVENT_TIME: Final = "event_time"
SCHEMA_ID: Final = "schema_id"
PAYLOAD: Final = "payload"

# Columns that come out, beside KEY.
EVALUATE_FROM: Final = "evaluate_from"
EVENTS: Final = "events"
LATEST: Final = "latest"
NEWEST: Final = "newest"
BATCH: Final = "this_batch_us"

# Elements of EVENTS, beside EVENT_TIME, SCHEMA_ID and PAYLOAD; and of what `relevant` makes of them.
BATCH_TIME: Final = "batch_us"
IS_NEW: Final = "is_new"
TRANSACTION: Final = "transaction"


def keep_events(silver: DataFrame, horizon_us: int, lateness_us: int) -> DataFrame:
    """The groups that a micro-batch touched, each with all its events.

    Args:
        silver: KEY, EVENT_TIME (timestamp), SCHEMA_ID (int) and PAYLOAD (binary: the Avro bytes). Rows without an event
            time are in no group; nothing is filtered here, because Spark would move the filter below the decoding, and
            decode every message once more for it.

    Returns:
        KEY, EVALUATE_FROM (microseconds: where the group's second half begins), EVENTS (array of structs of EVENT_TIME
        in microseconds, BATCH_TIME, SCHEMA_ID and PAYLOAD), LATEST (microseconds: the latest event time among them),
        NEWEST (struct: the newest BATCH_TIME, and the negative of the earliest event time that came with it) and BATCH
        (microseconds: the micro-batch's own time, which the retry of a batch has again).
    """
    batch_time = F.unix_micros(F.current_timestamp())
    event_us = F.unix_micros(EVENT_TIME)
    return (
        # A column of its own, because inside the aggregate Spark takes the batch's time for non-deterministic.
        silver.withColumn(BATCH_TIME, batch_time)
        .withWatermark(EVENT_TIME, f"{lateness_us} microseconds")
        .groupBy(
            KEY,
            F.window(EVENT_TIME, f"{2 * horizon_us} microseconds", f"{horizon_us} microseconds").alias("period"),
        )
        .agg(
            F.collect_list(F.struct(event_us.alias(EVENT_TIME), BATCH_TIME, SCHEMA_ID, PAYLOAD)).alias(EVENTS),
            # Kept beside the list, so that it need not be gone through to find out whether there is anything to do.
            F.max(event_us).alias(LATEST),
            F.max(F.struct(BATCH_TIME, (-event_us).alias("before"))).alias(NEWEST),
        )
        .select(
            KEY,
            (F.unix_micros(F.col("period.start")) + F.lit(horizon_us)).alias(EVALUATE_FROM),
            EVENTS,
            LATEST,
            NEWEST,
            batch_time.alias(BATCH),
        )
    )


def relevant(groups: DataFrame, unpack: Callable[[Column, Column], Column], longest_window_us: int) -> DataFrame:
    """Leave behind, in the JVM, what the evaluation of a micro-batch cannot need, and unpack the rest.

    Groups in which nothing is to be evaluated, and events too old for any window that ends with or after an arrival.

    Args:
        groups: as ``keep_events`` returns them.
        unpack: from a schema id and a payload to a struct of what rules and alerts need.
        longest_window_us: among the rules of the scope.

    Returns:
        KEY, EVALUATE_FROM and EVENTS, whose elements have EVENT_TIME (microseconds), IS_NEW and TRANSACTION, which is
        what ``unpack`` makes.
    """
    # The list itself is asked only after a step back of the clock, when the newest batch is not the latest one.
    new_from = F.when(F.col(f"{NEWEST}.{BATCH_TIME}") == F.col(BATCH), -F.col(f"{NEWEST}.before")).otherwise(
        F.array_min(
            F.transform(
                F.filter(EVENTS, lambda event: event[BATCH_TIME] == F.col(BATCH)), lambda event: event[EVENT_TIME]
            )
        )
    )

    def unpacked(event: Column) -> Column:
        return F.struct(
            event[EVENT_TIME].alias(EVENT_TIME),
            (event[BATCH_TIME] == F.col(BATCH)).alias(IS_NEW),
            unpack(event[SCHEMA_ID], event[PAYLOAD]).alias(TRANSACTION),
        )

    return (
        groups.withColumn("new_from", new_from)
        .where((F.col(LATEST) >= F.col(EVALUATE_FROM)) & (F.col(LATEST) >= F.col("new_from")))
        .select(
            KEY,
            EVALUATE_FROM,
            F.transform(
                F.filter(EVENTS, lambda event: event[EVENT_TIME] > F.col("new_from") - F.lit(longest_window_us)),
                unpacked,
            ).alias(EVENTS),
        )
    )
