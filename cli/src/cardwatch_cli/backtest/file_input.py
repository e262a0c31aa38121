"""Any CSV or Parquet file as the source of a backtest: mapped as for replay, with the fields of the enricher."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_mapping.mapping import Mapping, default_of, load_mapping
from cardwatch_mapping.rows import RowReader
from cardwatch_mapping.tables import Table, open_table
from cardwatch_reference.settings import ReferenceSettings
from cardwatch_rules.backtest.alerts import IS_FRAUD
from cardwatch_rules.backtest.run import fields_read
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.model import Rule
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.token_settings import load_token_settings

from cardwatch_cli.backtest.enrichment import NEEDS, enrich
from cardwatch_cli.backtest.transaction_request import IDENTITY, TransactionRequest, first_line

# The number of rows kept in memory; further rows are spilled to temporary files.
ROWS_IN_MEMORY: Final = 8_000_000
# The number of rules that a notice names.
_RULES_NAMED: Final = 3

Notice = Callable[[str], None]


@contextmanager
def open_file(
    path: Path,
    mapping_path: Path,
    request: TransactionRequest,
    *,
    notice: Notice,
    on_rows: Callable[[int, int | None], None],
    rows_in_memory: int = ROWS_IN_MEMORY,
) -> Iterator[pl.LazyFrame]:
    """The requested transactions of a CSV or Parquet file, with the derived fields of the enricher.

    Args:
        mapping_path: YAML that maps the file's columns to fields, as for replay.
        notice: called with each sentence about what limits the result.
        on_rows: called with the number of rows read, and of all rows (None: unknown).
        rows_in_memory: further rows are spilled to temporary files.

    Raises:
        ConfigurationError: the file or the mapping is wrong, see ``cardwatch_mapping``.
    """
    mapping = load_mapping(mapping_path)
    table = open_table(path)
    reading = _FileReading(mapping, table, request)
    for sentence in reading.limits():
        notice(sentence)
    with tempfile.TemporaryDirectory(prefix="cardwatch-backtest-") as spill:
        spilled: list[Path] = []
        frames: list[pl.DataFrame] = []
        done = rows = 0
        try:
            for batch in table.batches(reading.columns):
                frame = reading(batch)
                frames.append(frame)
                done += batch.num_rows
                rows += frame.height
                on_rows(done, table.row_count)
                if rows >= rows_in_memory:
                    spilled.append(Path(spill) / f"{len(spilled)}.parquet")
                    pl.concat(frames).write_parquet(spilled[-1], compression="lz4")
                    frames, rows = [], 0
        except (OSError, pa.ArrowException) as error:
            raise ConfigurationError(f"{path} cannot be read: {first_line(error)}") from error
        parts = [pl.scan_parquet(part) for part in spilled]
        if frames or not parts:
            parts.append((pl.concat(frames) if frames else reading.nothing()).lazy())
        yield request.labelled(_once(pl.concat(parts)))


class _FileReading:
    """Converts batches of a file to transactions with the requested fields."""

    def __init__(self, mapping: Mapping, table: Table, request: TransactionRequest) -> None:
        tokens = load_token_settings(load_settings(ServiceSettings))
        self._mapping = mapping
        self._request = request
        self._reader = RowReader(mapping, table.columns, token_key=tokens.key_bytes(), token_key_id=tokens.key_id)
        self._derived = [name for name in request.fields if name in NEEDS]
        self._plain = {name for name in request.fields if name not in NEEDS}.union(
            IDENTITY, *(NEEDS[name] for name in self._derived)
        )
        self._derivation = load_settings(ReferenceSettings).derivation()
        self._schema = {**polars_schema(), "event_time": pl.Int64()}

    @property
    def columns(self) -> list[str]:
        """The file's columns to read: all that the mapping names, because a row is valid or invalid as a whole."""
        return self._mapping.columns()

    def limits(self) -> Iterator[str]:
        """The fields that rules use and the file does not have, a sentence each."""
        known = {*self._mapping.fields, *self._reader.constants}
        if "card_number" in self._mapping.fields:
            known |= {"card_token", "card_bin", "card_last_four"}
        for name in sorted(self._plain - known):
            rules = list(dict.fromkeys(rule.rule_id for rule in self._request.rules if name in self._looked_at(rule)))
            more = len(rules) - _RULES_NAMED
            named = ", ".join(rules[:_RULES_NAMED]) + (f" and {more} more" if more > 0 else "")
            shown = "null" if default_of(name) is None else f"'{default_of(name)}'"
            yield f"the mapping has no {name}: it is {shown} in every row, which affects {named}"

    @staticmethod
    def _looked_at(rule: Rule) -> set[str]:
        """The fields of a transaction that the result of a rule depends on."""
        fields = fields_read([rule])
        return fields.union(*(NEEDS[name] for name in fields & NEEDS.keys()))

    def __call__(self, batch: Any) -> pl.DataFrame:
        read = self._reader.columns(batch, self._plain)
        frame = pl.DataFrame(read.values, schema={name: self._schema[name] for name in read.values}, strict=False)
        constants = self._reader.constants
        fixed = {
            name: constants[name] if name in constants else default_of(name)
            for name in self._plain - read.values.keys()
        }
        frame = frame.with_columns(pl.lit(value, self._schema[name]).alias(name) for name, value in fixed.items())
        if read.is_fraud is not None and self._request.fraud is None:
            frame = frame.with_columns(pl.Series(IS_FRAUD, read.is_fraud, dtype=pl.Boolean))
        frame = frame.filter(self._request.read.holds(pl.col("event_time")))
        enriched = enrich(frame, self._derived, self._derivation)
        return enriched.select(*IDENTITY, *self._request.fields, *([IS_FRAUD] if IS_FRAUD in frame.columns else []))

    def nothing(self) -> pl.DataFrame:
        """A frame without rows."""
        return pl.DataFrame(schema={name: self._schema[name] for name in (*IDENTITY, *self._request.fields)})


def _once(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """One row per transaction id, the earliest. Rows are sorted, which is expensive, only if an id is repeated."""
    number, different = (
        transactions.select(pl.len(), pl.col("transaction_id").hash().n_unique().alias("ids")).collect().row(0)
    )
    if number == different:
        return transactions
    return transactions.sort("event_time", maintain_order=True).unique(
        "transaction_id", keep="first", maintain_order=True
    )
