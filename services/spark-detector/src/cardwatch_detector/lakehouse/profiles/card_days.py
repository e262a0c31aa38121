"""``gold.card_days``: what each card did on each settled day, in figures that add up exactly."""

from collections.abc import Collection
from datetime import date

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, SILVER_TRANSACTIONS
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId, replace_rows
from cardwatch_detector.lakehouse.io.read import read_table

# Amounts are at most 10^12 in their own currency (the enricher refuses others), so that sums of squares fit into 38
# digits. A sum that does not is null, and so are the deviations computed from it; nothing fails.
_EXACT = "DECIMAL(38,0)"


def is_counted() -> Column:
    """Whether a transaction counts in the sense of docs/rules.md: approved, and no refund."""
    return (F.col("status") == "approved") & (F.col("transaction_type") != "refund")


def tokens() -> Column:
    """The tokens of a transaction's card: one, or during a rotation of token keys two."""
    card, other = F.col("card_token"), F.col("other_card_token")
    return F.when(other.isNull(), F.array(card)).otherwise(F.array(card, other))


def card_days(transactions: DataFrame) -> DataFrame:
    """Columns of GOLD_CARD_DAYS from those of SILVER_TRANSACTIONS; of counted transactions only (docs/rules.md).

    During a rotation of token keys a transaction counts under both tokens: when the other one becomes the card's token,
    it has a history.
    """
    amount = F.col("base_amount_minor")
    return (
        transactions.where(is_counted())
        .withColumn("card_token", F.explode(tokens()))
        .groupBy("card_token", F.col("event_date").alias("day"))
        .agg(
            F.count("*").alias("transactions"),
            F.try_sum(amount.cast(_EXACT)).alias("sum_minor"),
            F.try_sum(amount.cast(_EXACT) * amount.cast(_EXACT)).alias("sum_squares"),
            F.max(amount).alias("max_minor"),
            F.array_sort(F.collect_set("country")).alias("countries"),
            F.bit_or(F.expr("shiftleft(1, hour_of_day)")).alias("hours"),
        )
    )


def refresh_days(
    session: SparkSession, tables_dir: str, days: Collection[date], write_id: WriteId | None = None
) -> int:
    """Compute days' rows again from all that silver holds of them; repeating it changes nothing.

    Args:
        write_id: as for ``replace_rows``.

    Returns:
        The number of rows.
    """
    silver = read_table(session, tables_dir, SILVER_TRANSACTIONS)
    rows = card_days(silver.where(F.col("event_date").isin(list(days))))
    return replace_rows(rows, GOLD_CARD_DAYS, tables_dir, predicate=one_of("day", days), write_id=write_id)


def one_of(column: str, days: Collection[date]) -> str:
    """An SQL predicate: whether a column is one of the days."""
    return f"{column} IN ({', '.join(f'DATE{day.isoformat()!r}' for day in sorted(days))})"
