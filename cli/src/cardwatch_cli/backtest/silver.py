"""The Delta table silver.transactions as the source of a backtest."""

from collections.abc import Iterator

import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import one_line
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS
from cardwatch_rules.backtest.period import OPEN_END, OPEN_START, Period
from cardwatch_units.timestamps import from_microseconds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from cardwatch_cli.backtest.transaction_request import IDENTITY, TransactionRequest


def open_silver(tables_dir: str, request: TransactionRequest) -> pl.LazyFrame:
    """The requested transactions of silver.transactions; partitions of other days are not opened.

    Raises:
        ConfigurationError: there is no such table, or it lacks a column.
    """
    place = locate(tables_dir).of(SILVER_TRANSACTIONS.name)
    path = place.uri
    try:
        table = DeltaTable(path, storage_options=place.options())
        scan = pl.scan_delta(table)
        columns = scan.collect_schema()
    except TableNotFoundError as error:
        raise ConfigurationError(
            f"there is no Delta table {path}; expected silver/transactions in --tables-dir"
        ) from error
    except (DeltaError, OSError) as error:
        raise ConfigurationError(f"the Delta table {path} cannot be read: {one_line(error)}") from error
    missing = [name for name in (*IDENTITY, *request.fields) if name not in columns]
    if missing:
        raise ConfigurationError(
            f"the Delta table {path} has no column {', '.join(missing)}; an enricher and a lakehouse of this version "
            "write them"
        )
    if request.period != Period():
        if "event_date" in columns:
            scan = scan.filter(*_dates(request.read))
        scan = scan.filter(request.read.holds(pl.col("event_time").dt.epoch("us")))
    return request.labelled(scan.select("transaction_id", pl.col("event_time").dt.epoch("us"), *request.fields))


def _dates(period: Period) -> Iterator[pl.Expr]:
    """Conditions for partitions with transactions of the period; ``event_date`` is the day of ``event_time``, UTC."""
    if period.start_us > OPEN_START:
        yield pl.col("event_date") >= from_microseconds(period.start_us).date()
    if period.end_us < OPEN_END:
        yield pl.col("event_date") <= from_microseconds(period.end_us - 1).date()
