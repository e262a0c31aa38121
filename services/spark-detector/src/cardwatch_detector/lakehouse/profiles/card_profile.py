"""``gold.card_profile``: what each card usually does, one row per card and day, as defined in docs/rules.md."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, replace_rows
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.profiles.calendar import AHEAD_DAYS, LONG_DAYS, SHORT_DAYS, first_day, last_day
from cardwatch_detector.lakehouse.profiles.card_days import one_of

CHANGED_BY: Final = "changed_by"
_KEY: Final = ("card_token", "valid_on")
_FIGURES: Final = tuple(name for name in GOLD_CARD_PROFILE.columns if name not in (*_KEY, CHANGED_BY))


def profiles(days: DataFrame, valid_on: Collection[date]) -> DataFrame:
    """The cards' profiles for some days: columns of GOLD_CARD_PROFILE but CHANGED_BY, from those of GOLD_CARD_DAYS."""
    age = F.datediff("valid_on", "day")
    sums = (
        days.where(F.col("day").between(first_day(min(valid_on)), last_day(max(valid_on))))
        .withColumn("valid_on", F.explode(F.array(*(F.lit(day) for day in sorted(valid_on)))))
        .where(age.between(AHEAD_DAYS, AHEAD_DAYS + LONG_DAYS - 1))
        .groupBy(*_KEY)
        .agg(
            *_sums("30d", age < AHEAD_DAYS + SHORT_DAYS),
            *_sums("90d", F.lit(True)),
            F.max("max_minor").alias("max_amount_minor_90d"),
            F.count("*").alias("active_days_90d"),
            F.array_sort(F.array_distinct(F.flatten(F.collect_list("countries")))).alias("countries_90d"),
            F.bit_or("hours").alias("hours"),
        )
    )
    hours = F.expr("filter(sequence(0, 23), hour -> (hours & shiftleft(1, hour)) <> 0)")
    figures = {name: column for period in ("30d", "90d") for name, column in _statistics(period)} | {"hours_90d": hours}
    return sums.select(*_KEY, *(figures.get(name, F.col(name)).alias(name) for name in _FIGURES))


def _sums(period: str, within: Column) -> Iterator[Column]:
    yield F.coalesce(F.sum(F.when(within, F.col("transactions"))), F.lit(0)).alias(f"transactions_{period}")
    for name in ("sum_minor", "sum_squares"):
        # Null if one of them is: a day whose sum has no room must not be left out.
        complete = F.count(F.when(within, F.col(name))) == F.count(F.when(within, F.lit(1)))
        yield F.when(complete, F.try_sum(F.when(within, F.col(name)))).alias(f"{name}_{period}")


def _statistics(period: str) -> Iterator[tuple[str, Column]]:
    count, total, squares = (F.col(f"{name}_{period}") for name in ("transactions", "sum_minor", "sum_squares"))
    yield f"mean_amount_minor_{period}", F.when(count > 0, total.cast("double") / count.cast("double"))
    # Of exact integers up to the division: rounding on the way would make the figure depend on order and engine.
    numerator = F.try_subtract(F.try_multiply(count, squares), F.try_multiply(total, total))
    denominator = count * (count - 1)
    deviation = F.sqrt(numerator.cast("double") / denominator.cast("double"))
    yield f"stddev_amount_minor_{period}", F.when(count > 1, deviation)


@dataclass(frozen=True)
class ProfileRefresh:
    """Which profiles are computed again.

    Attributes:
        valid_on: the days that they are for; at least one.
        kept_from: profiles of earlier days are dropped.
        changed_by: what CHANGED_BY becomes in rows that are new or have changed; the others keep theirs.
        cards: a few cards, column ``card_token``, whose profiles are computed while the others stay; None for all.
    """

    valid_on: Collection[date]
    kept_from: date
    changed_by: str
    cards: DataFrame | None = None


def refresh_profiles(
    session: SparkSession, tables_dir: str, refresh: ProfileRefresh, write_id: WriteId | None = None
) -> None:
    """Compute days' profiles from GOLD_CARD_DAYS again, and drop those that are no longer kept, in one commit.

    Args:
        write_id: as for ``replace_rows``.
    """
    cards, valid_on = refresh.cards, refresh.valid_on
    days = read_table(session, tables_dir, GOLD_CARD_DAYS)
    table = read_table(session, tables_dir, GOLD_CARD_PROFILE).where(F.col("valid_on").isin(list(valid_on)))
    of_cards = table
    if cards is not None:
        days, of_cards = (rows.join(F.broadcast(cards), "card_token", "left_semi") for rows in (days, table))
    computed = profiles(days, valid_on).withColumn("computed", F.struct(*_FIGURES))
    known = of_cards.select(*_KEY, F.struct(*_FIGURES).alias("known"), CHANGED_BY)
    changed_by = F.when(F.col("computed").eqNullSafe(F.col("known")), F.col(CHANGED_BY)).otherwise(
        F.lit(refresh.changed_by)
    )
    rows = computed.join(known, list(_KEY), "left").select(*_KEY, *_FIGURES, changed_by.alias(CHANGED_BY))
    if cards is not None:
        rows = rows.unionByName(table.join(F.broadcast(cards), "card_token", "left_anti"))
    replaced = f"{one_of('valid_on', valid_on)} OR valid_on < DATE'{refresh.kept_from.isoformat()}'"
    replace_rows(rows, GOLD_CARD_PROFILE, tables_dir, predicate=replaced, write_id=write_id)
