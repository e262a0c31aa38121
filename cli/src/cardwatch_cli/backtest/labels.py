"""A file of labels: which transactions are fraud."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_mapping.tables import Table, open_table

_ID: Final = "transaction_id"
_IS_FRAUD: Final = "is_fraud"
_TRUE: Final = ("1", "1.0", "true", "yes", "y", "t")


def read_labels(path: Path) -> pl.Series:
    """The ids of the transactions that a CSV or Parquet file labels as fraud.

    Its columns are ``transaction_id`` and ``is_fraud`` (1 or 0, true or false); without ``is_fraud`` all are fraud.

    Raises:
        ConfigurationError: the file cannot be read, or has no column ``transaction_id``.
    """
    table = open_table(path)
    if _ID not in table.columns:
        raise ConfigurationError(f"{path}: expected a column {_ID}, got {', '.join(table.columns)}")
    columns: list[str] = [name for name in (_ID, _IS_FRAUD) if name in table.columns]
    batches = [pl.DataFrame(pl.from_arrow(batch)) for batch in _batches(table, columns, path)]
    labels = pl.concat(batches) if batches else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    labels = labels.with_columns(pl.col(_ID).cast(pl.String))
    if _IS_FRAUD in columns:
        labels = labels.filter(pl.col(_IS_FRAUD).cast(pl.String).str.to_lowercase().is_in(_TRUE))
    return labels[_ID].unique()


def _batches(table: Table, columns: list[str], path: Path) -> Iterator[Any]:
    try:
        yield from table.batches(columns)
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
