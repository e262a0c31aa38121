"""The state: every transaction of a key, in groups of twice the horizon that overlap by half.

    horizon H = 24 h        ├── group k ────────────────┤
                                        ├── group k + 1 ────────────┤
                            |  history  | evaluated    |
    transaction at t                         t: evaluated in group k, where all of (t − H, t] lies;
                                                history in group k + 1

Spark's own operator keeps it (``collect_list`` per scope, key and group), so it is checkpointed, held by RocksDB and
evicted by the watermark. Events are kept, not sums: a changed rule acts on all of its window at once. The scopes of a
process share one query: a message is fetched, decoded and planned for once, whatever the number of scopes.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.stored_event import came_with, event_us, ordered, pack, stamp, unpack

# Columns that go in.
EVENT_TIME: Final = "event_time"
TRANSACTION: Final = "transaction"

# Columns that come out.
SCOPE: Final = "scope"
KEY: Final = "key"
EVALUATE_FROM: Final = "evaluate_from"
EVENTS: Final = "events"
LATEST: Final = "latest"
NEWEST: Final = "newest"
BATCH: Final = "batch"

# Elements of what `relevant` makes of EVENTS, beside TRANSACTION.
STAMP: Final = "stamp"

_UNTIL: Final = "until"
_EVENT: Final = "event"
# How Spark marks the column that a watermark is about; its own window() hands the mark on in the same way.
_WATERMARK_MARK: Final = "spark.watermarkDelayMs"


def keep_events(
    silver: DataFrame, keys: Mapping[str, str], horizons_us: Mapping[str, int], lateness_us: int
) -> DataFrame:
    """The groups that a micro-batch touched, each with all its events.

    Args:
        silver: EVENT_TIME (timestamp) and TRANSACTION (struct with ``stored_event.fields_to_read``). A row without an
            event time is in no group; nothing is filtered here, because Spark would move the filter below the decoding,
            and decode every message once more for it.
        keys: scope → field of the transaction that is its key.
        horizons_us: scope → how far back its windows can reach.

    Returns:
        SCOPE, KEY, EVALUATE_FROM (microseconds: where the group's second half begins), EVENTS (array of stored events),
        LATEST (microseconds: the latest event time among them), NEWEST (struct: the newest micro-batch's time, and
        the negative of the earliest event time that came with it) and BATCH (the micro-batch's own time, which the
        retry of a batch has again). The times of micro-batches are bytes (``stored_event.ordered``).
    """
    this_batch = ordered(F.unix_micros(F.current_timestamp()))
    at = F.unix_micros(EVENT_TIME)
    stored = {f"{_EVENT}_{scope}": pack(scope, at, F.col(BATCH), F.col(TRANSACTION)) for scope in keys}
    placed = (
        # A column of its own, because inside the aggregate Spark takes the batch's time for non-deterministic.
        silver.withColumn(BATCH, this_batch)
        .withWatermark(EVENT_TIME, f"{lateness_us} microseconds")
        .select(BATCH, at.alias("event_us"), *(F.col(f"{TRANSACTION}.{key}") for key in dict.fromkeys(keys.values())),
                *(event.alias(name) for name, event in stored.items()))
        .select(BATCH, "event_us", F.explode(_groups_of_an_event(keys, horizons_us)).alias("place"))
        .select(
            BATCH,
            "event_us",
            F.col(f"place.{SCOPE}").alias(SCOPE),
            F.col(f"place.{KEY}").alias(KEY),
            F.col(f"place.{_UNTIL}").alias(_UNTIL, metadata={_WATERMARK_MARK: lateness_us // 1000}),
            F.col(f"place.{_EVENT}").alias(_EVENT),
        )
    )  # fmt: skip
    return (
        placed.groupBy(SCOPE, KEY, _UNTIL)
        .agg(
            F.collect_list(_EVENT).alias(EVENTS),
            # Kept beside the list, so that it need not be gone through to find out whether there is anything to do.
            F.max("event_us").alias(LATEST),
            F.max(F.struct(BATCH, (-F.col("event_us")).alias("before"))).alias(NEWEST),
        )
        .select(
            SCOPE,
            KEY,
            (F.unix_micros(_UNTIL) - _by_scope(horizons_us)).alias(EVALUATE_FROM),
            EVENTS,
            LATEST,
            NEWEST,
            this_batch.alias(BATCH),
        )
    )


def relevant(groups: DataFrame, longest_windows_us: Mapping[str, int], fields: Iterable[str]) -> DataFrame:
    """Leave behind, in the JVM, what the evaluation of a micro-batch cannot need, and unpack the rest.

    Groups in which nothing is to be evaluated, and events too old for any window that ends with or after an arrival.

    Args:
        groups: as ``keep_events`` returns them.
        longest_windows_us: scope → longest window among its rules.
        fields: what rules and alerts need of a transaction.

    Returns:
        SCOPE, KEY, EVALUATE_FROM, BATCH and EVENTS, whose elements have STAMP and TRANSACTION, a struct of the fields.
    """
    wanted = list(fields)
    this_batch = F.col(BATCH)
    # The list itself is asked only after a step back of the clock, when the newest batch is not the latest one.
    new_from = F.when(F.col(f"{NEWEST}.{BATCH}") == this_batch, -F.col(f"{NEWEST}.before")).otherwise(
        F.array_min(F.transform(F.filter(EVENTS, lambda event: came_with(event, this_batch)), event_us))
    )

    def unpacked(event: Column) -> Column:
        fields_of = unpack(longest_windows_us, F.col(SCOPE), event, wanted)
        return F.struct(stamp(event).alias(STAMP), fields_of.alias(TRANSACTION))

    needed_from = ordered(F.col("new_from") - _by_scope(longest_windows_us) + F.lit(1))
    # Bound by a lambda's variable: Spark would move a column of its own into the filter, to be computed for each event.
    # Whatever follows the time makes an event greater than the bare time.
    needed = F.transform(
        F.array(needed_from), lambda bound: F.transform(F.filter(EVENTS, lambda event: event >= bound), unpacked)
    )[0]
    return (
        groups.withColumn("new_from", new_from)
        .where((F.col(LATEST) >= F.col(EVALUATE_FROM)) & (F.col(LATEST) >= F.col("new_from")))
        .select(SCOPE, KEY, EVALUATE_FROM, BATCH, needed.alias(EVENTS))
    )


def _groups_of_an_event(keys: Mapping[str, str], horizons_us: Mapping[str, int]) -> Column:
    """For each scope the group where an event is evaluated and the one where it is history; none without a time."""
    places = []
    for scope, key in keys.items():
        horizon = horizons_us[scope]
        half = F.col("event_us") - F.pmod(F.col("event_us"), F.lit(horizon))
        places += [
            F.struct(
                F.lit(scope).alias(SCOPE),
                F.col(key).alias(KEY),
                F.timestamp_micros(half + F.lit(halves * horizon)).alias(_UNTIL),
                F.col(f"{_EVENT}_{scope}").alias(_EVENT),
            )
            for halves in (1, 2)
        ]
    return F.when(F.col("event_us").isNotNull(), F.array(*places))


def _by_scope(values: Mapping[str, int]) -> Column:
    (first, value), *others = values.items()
    chosen = F.when(F.col(SCOPE) == first, F.lit(value))
    for scope, other in others:
        chosen = chosen.when(F.col(SCOPE) == scope, F.lit(other))
    return chosen
