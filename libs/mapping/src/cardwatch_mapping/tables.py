"""Reading CSV and Parquet files in batches: never a whole file in memory."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from cardwatch_contracts.errors import ConfigurationError

_BATCH_ROWS: Final = 10_000


class Table(Protocol):
    """A file of rows.

    Attributes:
        columns: names of its columns.
        row_count: how many rows it has; None if that is not known without reading it.
    """

    columns: list[str]
    row_count: int | None

    def batches(self, columns: list[str]) -> Iterator[Any]:
        """Arrow record batches of those columns, in the file's order."""


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pyarrow.parquet.ParquetFile(path) as file:
            self.columns: list[str] = list(file.schema_arrow.names)
            self.row_count: int | None = file.metadata.num_rows

    def batches(self, columns: list[str]) -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(self._path) as file:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=columns)


class CsvTable:
    """A CSV file with a header line. Every value is text: nothing is guessed, and leading zeros stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.row_count: int | None = None
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read(65_536)
        # The delimiter that the header line has most of.
        header = sample.splitlines()[0] if sample.strip() else ""
        self._delimiter = max((",", ";", "\t", "|"), key=header.count)
        self.columns: list[str] = next(csv.reader([header], delimiter=self._delimiter), [])

    def batches(self, columns: list[str]) -> Iterator[Any]:
        yield from pyarrow.csv.open_csv(
            self._path,
            parse_options=pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.string() for name in self.columns},
                strings_can_be_null=True,
                null_values=[""],
            ),
        )


def open_table(path: Path) -> Table:
    """Open a file by its ending.

    Raises:
        ConfigurationError: it cannot be read, or is neither CSV nor Parquet.
    """
    kinds: dict[str, type[CsvTable] | type[ParquetTable]] = {
        ".csv": CsvTable,
        ".tsv": CsvTable,
        ".parquet": ParquetTable,
        ".pq": ParquetTable,
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ConfigurationError(f"{path}: expected a file that ends in .csv, .tsv, .parquet or .pq")
    try:
        return kind(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
