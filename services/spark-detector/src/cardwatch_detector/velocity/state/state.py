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

from cardwatch_rules.fields import PROFILE_SCOPE, SCOPE_KEYS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.velocity.state.groups import group_ends
from cardwatch_detector.velocity.state.stored_event import (
    came_with,
    event_us,
    is_profile,
    ordered,
    pack,
    pack_profile,
    stamp,
    unpack,
    unpack_profile,
)

# Columns that go in.
EVENT_TIME: Final = "event_time"
TRANSACTION: Final = "transaction"
PROFILE: Final = "profile"

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
_CLOCK: Final = "clock"
_EVENT: Final = "event"
# How Spark marks the column that a watermark is about; its own window() hands the mark on in the same way.
_WATERMARK_MARK: Final = "spark.watermarkDelayMs"
_TIME_DIGITS: Final = 18


def keep_events(
    silver: DataFrame,
    keys: Mapping[str, str],
    horizons_us: Mapping[str, int],
    lateness_us: int,
    *,
    ahead_us: int,
    profiled: bool = False,
) -> DataFrame:
    """The groups that a micro-batch touched, each with all its events.

    Args:
        silver: EVENT_TIME (timestamp) and TRANSACTION (struct with ``stored_event.fields_to_read``). A row without an
            event time is in no group; nothing is filtered here, because Spark would move the filter below the decoding,
            and decode every message once more for it.
            With ``profiled`` also PROFILE (struct with ``stored_event.profile_fields_to_read``), of which the one or
            the other is null; EVENT_TIME of a profile is the beginning of its day.
        keys: scope → field of the transaction that is its key.
        horizons_us: scope → how far back its windows can reach.
        ahead_us: how far past the driver's clock an event time may move the watermark, microseconds.

    Returns:
        SCOPE, KEY, EVALUATE_FROM (microseconds: where the group's second half begins), EVENTS (array of stored events),
        LATEST (microseconds: the latest event time among them), NEWEST (struct: the newest micro-batch's time, and
        the negative of the earliest event time that came with it) and BATCH (the micro-batch's own time, which the
        retry of a batch has again). The times of micro-batches are bytes (``stored_event.ordered``).
    """
    this_batch = ordered(F.unix_micros(F.current_timestamp()))
    at = F.unix_micros(EVENT_TIME)
    stored = {f"{_EVENT}_{scope}": pack(scope, at, F.col(BATCH), F.col(TRANSACTION)) for scope in keys}
    key_of = {key: F.col(f"{TRANSACTION}.{key}") for key in keys.values()}
    clock = _no_later_than(F.col(EVENT_TIME), ahead_us)
    if profiled:
        name, key = f"{_EVENT}_{PROFILE_SCOPE}", SCOPE_KEYS[PROFILE_SCOPE]
        a_profile = F.col(PROFILE).isNotNull()
        stored[name] = F.coalesce(stored[name], pack_profile(F.col(PROFILE), F.col(BATCH)))
        key_of[key] = F.coalesce(key_of[key], F.col(f"{PROFILE}.{key}"))
        # A profile's day may lie ahead; only transactions move the watermark.
        clock = F.when(a_profile, F.timestamp_seconds(F.lit(0))).otherwise(clock)
    placed = (
        # A column of its own, because inside the aggregate Spark takes the batch's time for non-deterministic.
        silver.withColumns({BATCH: this_batch, _CLOCK: clock})
        .withWatermark(_CLOCK, f"{lateness_us} microseconds")
        .select(BATCH, at.alias("event_us"), *(column.alias(key) for key, column in key_of.items()),
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


def _no_later_than(event_time: Column, ahead_us: int) -> Column:
    """The event time as far as it may move the watermark: one message from the future must not make all others late.

    Spark logs the time of a micro-batch with its offsets before it runs (``current_timestamp`` in a streaming plan), so
    that a repeated micro-batch has the same limit. Where an event is evaluated does not depend on it.
    """
    limit = F.unix_micros(F.current_timestamp()) + F.lit(ahead_us)
    # As texts: a number that changes with each micro-batch would have Spark compile its code for each of them.
    earlier = F.least(_in_digits(F.unix_micros(event_time)), _in_digits(limit))
    return F.when(event_time.isNotNull(), F.timestamp_micros(earlier.cast("long")))


def _in_digits(us: Column) -> Column:
    """Microseconds from 1970 to 9998 as text whose order is the order of times."""
    return F.lpad(us.cast("string"), _TIME_DIGITS, "0")


def relevant(
    groups: DataFrame, reach_us: Mapping[str, int], fields: Iterable[str], *, profiled: bool = False
) -> DataFrame:
    """Leave behind, in the JVM, what the evaluation of a micro-batch cannot need, and unpack the rest.

    Groups in which nothing is to be evaluated, and events too old for any window that ends with or after an arrival.

    Args:
        groups: as ``keep_events`` returns them.
        reach_us: scope → how far back from an arrival its rules look.
        fields: what rules and alerts need of a transaction.

    Returns:
        SCOPE, KEY, EVALUATE_FROM, BATCH and EVENTS, whose elements have STAMP and TRANSACTION, a struct of the fields,
        and with ``profiled`` PROFILE; of the two the one or the other is null.
    """
    wanted = list(fields)
    this_batch = F.col(BATCH)
    # The list itself is asked only after a step back of the clock, when the newest batch is not the latest one.
    new_from = F.when(F.col(f"{NEWEST}.{BATCH}") == this_batch, -F.col(f"{NEWEST}.before")).otherwise(
        F.array_min(F.transform(F.filter(EVENTS, lambda event: came_with(event, this_batch)), event_us))
    )

    def unpacked(event: Column) -> Column:
        transaction = unpack(reach_us, F.col(SCOPE), event, wanted)
        if not profiled:
            return F.struct(stamp(event).alias(STAMP), transaction.alias(TRANSACTION))
        return F.struct(
            stamp(event).alias(STAMP),
            F.when(~is_profile(event), transaction).alias(TRANSACTION),
            unpack_profile(event).alias(PROFILE),
        )

    needed_from = ordered(F.col("new_from") - _by_scope(reach_us) + F.lit(1))
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
        into_horizon = F.pmod(F.col("event_us"), F.lit(horizon))
        places += [
            F.struct(
                F.lit(scope).alias(SCOPE),
                F.col(key).alias(KEY),
                F.timestamp_micros(end).alias(_UNTIL),
                F.col(f"{_EVENT}_{scope}").alias(_EVENT),
            )
            for end in group_ends(F.col("event_us"), into_horizon, horizon)
        ]
    # A transaction without the key (no device, no address) is in none of the scope's windows.
    keyed = F.filter(F.array(*places), lambda place: place[KEY].isNotNull())
    return F.when(F.col("event_us").isNotNull(), keyed)


def _by_scope(values: Mapping[str, int]) -> Column:
    (first, value), *others = values.items()
    chosen = F.when(F.col(SCOPE) == first, F.lit(value))
    for scope, other in others:
        chosen = chosen.when(F.col(SCOPE) == scope, F.lit(other))
    return chosen
