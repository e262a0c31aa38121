"""``gold.card_profile``: what each card usually does, a row a card and day; the definition is in docs/rules.md."""

from collections.abc import Collection, Iterator
from datetime import date
from typing import Final

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.write import replace_rows
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
    figures = {name: column for of in ("30d", "90d") for name, column in _statistics(of)} | {"hours_90d": hours}
    return sums.select(*_KEY, *(figures.get(name, F.col(name)).alias(name) for name in _FIGURES))


def _sums(of: str, within: Column) -> Iterator[Column]:
    yield F.coalesce(F.sum(F.when(within, F.col("transactions"))), F.lit(0)).alias(f"transactions_{of}")
    for name in ("sum_minor", "sum_squares"):
        # Null if one of them is: a day whose sum has no room must not be left out.
        complete = F.count(F.when(within, F.col(name))) == F.count(F.when(within, F.lit(1)))
        yield F.when(complete, F.try_sum(F.when(within, F.col(name)))).alias(f"{name}_{of}")


def _statistics(of: str) -> Iterator[tuple[str, Column]]:
    count, total, squares = (F.col(f"{name}_{of}") for name in ("transactions", "sum_minor", "sum_squares"))
    yield f"mean_amount_minor_{of}", F.when(count > 0, total.cast("double") / count.cast("double"))
    # Of exact integers up to the division: rounding on the way would make the figure depend on order and engine.
    numerator = F.try_subtract(F.try_multiply(count, squares), F.try_multiply(total, total))
    denominator = count * (count - 1)
    deviation = F.sqrt(numerator.cast("double") / denominator.cast("double"))
    yield f"stddev_amount_minor_{of}", F.when(count > 1, deviation)


def refresh_profiles(
    session: SparkSession,
    tables_dir: str,
    valid_on: Collection[date],
    kept_from: date,
    changed_by: str,
    cards: DataFrame | None = None,
    batch_id: int | None = None,
    part: str = "",
) -> None:
    """Make days' profiles anew of GOLD_CARD_DAYS, and drop those that are kept no longer, in one commit.

    Args:
        valid_on: the days; at least one.
        kept_from: profiles of earlier days are dropped.
        changed_by: what rows that are new, or other than they were, have in CHANGED_BY; the others keep theirs.
        cards: a few cards, column ``card_token``: the other cards' profiles stay; without, those of all are made.
        batch_id, part: the micro-batch that asks for it, as for ``replace_rows``.
    """
    days = read_table(session, tables_dir, GOLD_CARD_DAYS)
    table = read_table(session, tables_dir, GOLD_CARD_PROFILE).where(F.col("valid_on").isin(list(valid_on)))
    theirs = table
    if cards is not None:
        days, theirs = (of_all.join(F.broadcast(cards), "card_token", "left_semi") for of_all in (days, table))
    made = profiles(days, valid_on).withColumn("made", F.struct(*_FIGURES))
    known = theirs.select(*_KEY, F.struct(*_FIGURES).alias("known"), CHANGED_BY)
    unchanged = F.col("made").eqNullSafe(F.col("known"))
    rows = made.join(known, list(_KEY), "left").select(
        *_KEY, *_FIGURES, F.when(unchanged, F.col(CHANGED_BY)).otherwise(F.lit(changed_by)).alias(CHANGED_BY)
    )
    if cards is not None:
        rows = rows.unionByName(table.join(F.broadcast(cards), "card_token", "left_anti"))
    these = f"{one_of('valid_on', valid_on)} OR valid_on < DATE'{kept_from.isoformat()}'"
    replace_rows(rows, GOLD_CARD_PROFILE, tables_dir, these, batch_id, part)
