"""The set of transactions, in DuckDB: deduplicated, with the fields that the enricher would have added."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cardwatch_oracle.errors import OracleError

# Columns about the message: they differ between two messages of one transaction, and no rule may use them.
TRANSPORT: Final = frozenset({"raw_topic", "raw_partition", "raw_offset", "raw_broker_time", "enriched_at"})
BASE_CURRENCY: Final = "EUR"

_CONFIGURATION: Final[dict[str, str | bool | int | float | list[str]]] = {
    # The conditions of rules run here: without access to files, network and Python variables.
    "enable_external_access": False,
    "python_enable_replacements": False,
    # Dividing by zero is null, of whole numbers and of doubles.
    "error_on_division_by_zero": False,
    "ieee_floating_point_ops": False,
}


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def first_line(error: duckdb.Error) -> str:
    """The first line of DuckDB's error, without the lines that show the statement."""
    return str(error).strip().splitlines()[0].rstrip(".")


@contextmanager
def database(arrivals: pa.Table | Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database whose table `transactions` holds each transaction once.

    `arrivals` is a table or a Parquet file with at least transaction_id and event_time (microseconds since the epoch,
    or an Arrow timestamp in UTC). Raises OracleError if two messages of one transaction_id differ: the correct alerts
    would then depend on which came first.
    """
    table = _read(arrivals) if isinstance(arrivals, Path) else arrivals
    for name in ("transaction_id", "event_time"):
        if name not in table.column_names:
            raise OracleError(f"the transactions have no column {name}, only {', '.join(table.column_names)}")
    table = with_integer_time(table, "event_time")
    with duckdb.connect(":memory:", config=_CONFIGURATION) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("arrivals", table)
        columns = ", ".join(quoted(name) for name in table.column_names if name not in TRANSPORT)
        connection.execute(f"CREATE TABLE transactions AS SELECT DISTINCT {columns} FROM arrivals")  # noqa: S608
        connection.unregister("arrivals")
        if _one(connection, "SELECT count(*) FROM transactions WHERE transaction_id IS NULL OR event_time IS NULL"):
            raise OracleError("every transaction needs a transaction_id and an event_time, some have none")
        contradictory = connection.execute(
            "SELECT transaction_id FROM transactions GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 3"
        ).fetchall()
        if contradictory:
            ids = ", ".join(str(row[0]) for row in contradictory)
            raise OracleError(f"messages of one transaction_id must be equal, those of {ids} differ")
        yield connection


def with_integer_time(table: pa.Table, name: str) -> pa.Table:
    """The table with its column `name`, int64 or a timestamp, in whole microseconds since the epoch.

    Raises OracleError if the column is of another type.
    """
    kind = table.schema.field(name).type
    if pa.types.is_int64(kind):
        return table
    if not pa.types.is_timestamp(kind):
        raise OracleError(f"{name} must be int64 microseconds or a timestamp, not {kind}")
    micros = table[name].cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    return table.set_column(table.column_names.index(name), name, micros)


def columns_of(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the fields that the transactions have."""
    return {row[0] for row in connection.execute("DESCRIBE transactions").fetchall()}


def add_times(connection: duckdb.DuckDBPyConnection) -> None:
    """Adds hour_of_day (0 to 23) and day_of_week (1 = Monday to 7 = Sunday), both UTC, if they are missing."""
    for name, part in (("hour_of_day", "hour"), ("day_of_week", "isodow")):
        if name not in columns_of(connection):
            connection.execute(f"ALTER TABLE transactions ADD COLUMN {name} INTEGER")
            connection.execute(f"UPDATE transactions SET {name} = date_part('{part}', make_timestamp(event_time))")  # noqa: S608


def add_base_amount(connection: duckdb.DuckDBPyConnection, rates_file: Path, base: str = BASE_CURRENCY) -> None:
    """Adds base_amount_minor, amount_minor in minor units of `base`, rounded half up in whole numbers throughout.

    `rates_file` is a CSV with the columns currency, exponent (minor-unit exponent) and rate_e8 (units of `base` for
    one unit of currency, times 10^8). Raises OracleError for a currency without a rate: the enricher refuses such a
    transaction, so it must not be among the transactions.
    """
    if absent := {"amount_minor", "currency"} - columns_of(connection):
        raise OracleError(f"base_amount_minor cannot be computed, the transactions have no {' and no '.join(absent)}")
    rates: dict[str, tuple[int, int]] = {}
    for row in _csv_rows(rates_file, ("currency", "exponent", "rate_e8")):
        try:
            rates[row["currency"]] = (int(row["exponent"]), int(row["rate_e8"]))
        except ValueError as error:
            raise OracleError(
                f"{rates_file}: expected whole numbers as exponent and rate_e8 of {row['currency']}"
            ) from error
    if base not in rates:
        raise OracleError(f"{rates_file} has no line for the base currency {base}")
    base_exponent = rates[base][0]
    connection.execute("CREATE TEMP TABLE rates (currency VARCHAR, doubled_rate HUGEINT, unit HUGEINT)")
    connection.executemany(
        "INSERT INTO rates VALUES (?, ?, ?)",
        [
            [currency, rate_e8 * 10**base_exponent * 2, 10 ** (8 + exponent)]
            for currency, (exponent, rate_e8) in sorted(rates.items())
        ],
    )
    unknown = connection.execute(
        "SELECT DISTINCT currency FROM transactions ANTI JOIN rates USING (currency) ORDER BY 1 LIMIT 5"
    ).fetchall()
    if unknown:
        raise OracleError(f"{rates_file} has no rate for {', '.join(str(row[0]) for row in unknown)}")
    if _one(connection, "SELECT count(*) FROM transactions WHERE amount_minor IS NULL OR amount_minor < 0"):
        raise OracleError("amount_minor must never be missing or negative, it is in some transactions")
    # `//` truncates, which is the floor since nothing is negative.
    _execute(
        connection,
        """CREATE OR REPLACE TABLE transactions AS
           SELECT transactions.*,
                  ((amount_minor::HUGEINT * doubled_rate + unit) // (2 * unit))::BIGINT AS base_amount_minor
           FROM transactions JOIN rates USING (currency)""",
        "amounts cannot be converted",
    )


def add_merchant_category_group(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Adds merchant_category_group from a CSV first, last, group: ranges of codes, both ends included, else `other`."""
    ranges = [(row["first"], row["last"], row["group"]) for row in _csv_rows(file, ("first", "last", "group"))]
    connection.execute("CREATE TEMP TABLE ranges (first VARCHAR, last VARCHAR, name VARCHAR)")
    connection.executemany("INSERT INTO ranges VALUES (?, ?, ?)", ranges)
    overlapping = "SELECT count(*) FROM ranges a JOIN ranges b ON a.first <= b.last AND b.first <= a.last"
    if _one(connection, overlapping) != len(ranges):
        raise OracleError(f"the ranges of {file} must not overlap")
    _execute(
        connection,
        """CREATE OR REPLACE TABLE transactions AS
           SELECT transactions.*, coalesce(ranges.name, 'other') AS merchant_category_group
           FROM transactions LEFT JOIN ranges ON merchant_category_code BETWEEN first AND last""",
        "merchant_category_group cannot be looked up",
    )


def add_bin_country(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Adds bin_country from a CSV bin, country: that of the longest prefix of card_bin, null if none is listed."""
    bins = sorted({(row["bin"], row["country"]) for row in _csv_rows(file, ("bin", "country"))})
    connection.execute("CREATE TEMP TABLE bins (bin VARCHAR, country VARCHAR)")
    connection.executemany("INSERT INTO bins VALUES (?, ?)", bins)
    if _one(connection, "SELECT count(*) - count(DISTINCT bin) FROM bins"):
        raise OracleError(f"{file} must name one country for a BIN")
    _execute(
        connection,
        """CREATE OR REPLACE TABLE transactions AS
           SELECT transactions.*, bin_country FROM transactions LEFT JOIN (
             SELECT card_bin, arg_max(bins.country, length(bin)) AS bin_country
             FROM (SELECT DISTINCT card_bin FROM transactions) JOIN bins ON starts_with(card_bin, bin)
             GROUP BY card_bin
           ) USING (card_bin)""",
        "bin_country cannot be looked up",
    )


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except OSError as error:
        raise OracleError(f"{path} cannot be read: {error.strerror or error}") from error
    except pa.ArrowInvalid as error:
        raise OracleError(f"{path} is not a Parquet file of transactions: {str(error).splitlines()[0]}") from error


def _csv_rows(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(line for line in lines if not line.startswith("#"))
            rows = list(reader)
    except OSError as error:
        raise OracleError(f"{path} cannot be read: {error.strerror}") from error
    if absent := [column for column in columns if column not in (reader.fieldnames or ())]:
        raise OracleError(f"{path} has no column {absent[0]}")
    return rows


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, problem: str) -> None:
    try:
        connection.execute(sql)
    except duckdb.Error as error:
        raise OracleError(f"{problem}: {first_line(error)}") from error


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
