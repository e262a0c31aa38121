"""The definition of ``gold.velocity_5m``'s figures for the transactions of a window, on Arrow, without Spark.

A window's transactions are counted once per dimension. Text columns become numbers first (Polars' categoricals):
grouping and counting distinct values is then several times faster than on text, and as exact.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import polars as pl
import pyarrow as pa

from cardwatch_detector.runtime.arrow_schemas import spark_type

# Dimension -> the column of silver that holds its key, in the order in which they are written.
DIMENSIONS: Final = {
    "card": "card_token",
    "merchant": "merchant_id",
    "country": "country",
    "category": "merchant_category_code",
}
# Figure -> the column whose distinct values it counts.
DISTINCT: Final = {
    "distinct_cards": "card_token",
    "distinct_merchants": "merchant_id",
    "distinct_countries": "country",
}

WINDOW_US: Final = "window_us"  # when the window begins, microseconds since 1970
AMOUNT: Final = "base_amount_minor"
DECLINED: Final = "declined"  # boolean: the status is declined
COUNTED: Final = "counted"  # boolean: counted in the sense of docs/rules.md

_COUNTED_AMOUNT: Final = "counted_amount_minor"
_KEYS: Final = tuple(DIMENSIONS.values())
_EXACT: Final = pl.Decimal(38, 0)  # holds the sum of any 10^19 amounts
_FIELDS: "Final[list[pa.Field[Any]]]" = [
    pa.field(WINDOW_US, pa.int64()),
    pa.field("dimension", pa.string()),
    pa.field("key", pa.string()),
    pa.field("transactions", pa.int64()),
    pa.field(AMOUNT, pa.decimal128(38, 0)),
    pa.field("declined_transactions", pa.int64()),
    pa.field("counted_transactions", pa.int64()),
    pa.field(_COUNTED_AMOUNT, pa.decimal128(38, 0)),
    *(pa.field(name, pa.int64()) for name in DISTINCT),
]
_RESULT: Final = pa.schema(_FIELDS)
RESULT_TYPE: Final = spark_type(_RESULT)


def aggregate_windows(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """The rows of whole windows.

    Args:
        batches: all transactions of some windows, in any order: WINDOW_US, the columns of DIMENSIONS, AMOUNT, DECLINED
            and COUNTED. Keys and amounts may be null.

    Yields:
        One row per window, dimension and key that is not null, of RESULT_TYPE.
    """
    frames = [_encoded(batch) for batch in batches if batch.num_rows]
    if not frames:
        return
    transactions = pl.concat(frames)
    frames.clear()
    for (window_us,), of_window in transactions.partition_by(WINDOW_US, as_dict=True).items():
        for dimension, key in DIMENSIONS.items():
            rows = _by_key(of_window, key).with_columns(
                pl.lit(window_us, pl.Int64).alias(WINDOW_US), pl.lit(dimension).alias("dimension")
            )
            yield from rows.select(_RESULT.names).to_arrow().cast(_RESULT).to_batches()


def _encoded(batch: pa.RecordBatch) -> pl.DataFrame:
    frame: Any = pl.from_arrow(batch)
    encoded: pl.DataFrame = frame.with_columns(
        pl.col(*_KEYS).cast(pl.Categorical),
        pl.when(COUNTED).then(AMOUNT).otherwise(0).alias(_COUNTED_AMOUNT),
    )
    return encoded


def _by_key(transactions: pl.DataFrame, key: str) -> pl.DataFrame:
    with_key = transactions.filter(pl.col(key).is_not_null())
    return (
        with_key.lazy()
        .group_by(key)
        .agg(
            pl.len().alias("transactions"),
            pl.col(AMOUNT).cast(_EXACT).sum(),
            pl.col(DECLINED).sum().alias("declined_transactions"),
            pl.col(COUNTED).sum().alias("counted_transactions"),
            pl.col(_COUNTED_AMOUNT).cast(_EXACT).sum(),
            *(_count_distinct(with_key[column], key).alias(name) for name, column in DISTINCT.items()),
        )
        .with_columns(pl.col(key).cast(pl.String).alias("key"))
        .collect()
    )


def _count_distinct(column: pl.Series, key: str) -> pl.Expr:
    if column.name == key:
        return pl.lit(1)
    values = pl.col(column.name)
    # Polars counts null as a value.
    return values.n_unique() if column.null_count() == 0 else values.drop_nulls().n_unique()
