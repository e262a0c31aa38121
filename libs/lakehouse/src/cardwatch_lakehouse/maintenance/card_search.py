"""Finds a card's rows in the current version of a table and in its old files, and through them what belongs to it."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.internals import storage_of
from cardwatch_lakehouse.maintenance.card_rows import (
    ALERT_ID,
    CARD_COLUMN,
    RAW_POSITION,
    TRANSACTION_ID,
    CardRowMatcher,
    MessageMatcher,
    matcher_for,
)
from cardwatch_lakehouse.maintenance.log_redaction import LOG_DIR
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_lakehouse.maintenance.message_ownership import Card, Match, Position
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, GOLD_ALERTS, SILVER_TRANSACTIONS

# The library's type stubs do not allow scalars next to arrays.
pc: Any = pyarrow.compute

_ROWS_PER_BATCH: Final = 65_536


def find_card(catalog: Catalog, token: str, reader: MessageReader | None = None) -> Card:
    """A card with its transactions, refused messages and alerts, from the tables as they are and their old files.

    Args:
        reader: decodes messages; the default knows the schemas of this version only.

    Raises:
        RegistryUnavailableError: the reader's registry does not answer.
    """
    read = reader or MessageReader()
    others = _OtherCards(catalog, token, read)
    card = Card(token, read=read, positions_of_others=others)
    for rows in _all_matches(catalog, SILVER_TRANSACTIONS.name, card):
        card.add_silver(rows, RAW_POSITION, TRANSACTION_ID)
    card.shared = others.ids(card.transactions)
    # A message says by itself that it is the card's; the id of a transaction alone makes no other message the card's.
    by_token = (Match.TOKEN, Match.NAMED, Match.UNDECODED)
    letters = MessageMatcher()
    for rows in _all_matches(catalog, BRONZE_QUARANTINE.name, card):
        found = [number for number, match in letters.matches(rows, card).items() if match in by_token]
        card.add_dead_letters(rows.take(pa.array(found, pa.int64())), letters.place)
    for rows in _all_matches(catalog, GOLD_ALERTS.name, card):
        card.alerts.update(alert for alert in rows.column(ALERT_ID).to_pylist() if alert is not None)
    return card


def matcher_of(table: DeltaTable, name: str) -> CardRowMatcher | None:
    """The matcher for a table; None if its rows do not refer to cards."""
    return matcher_for(name, [column.name for column in table.schema().fields])


def batches_of(table: DeltaTable, matcher: CardRowMatcher) -> Iterator[pa.RecordBatch]:
    """The rows of the current version: the matcher's columns and those of the partitions."""
    columns = [*matcher.columns, *table.metadata().partition_columns]
    dataset: Any = table.to_pyarrow_dataset()
    yield from dataset.to_batches(columns=list(dict.fromkeys(columns)), batch_size=_ROWS_PER_BATCH)


def matches(table: DeltaTable, matcher: CardRowMatcher, card: Card) -> Iterator[tuple[pa.RecordBatch, tuple[Any, ...]]]:
    """A card's rows in the current version with the matcher's columns, and the values of their partition."""
    columns = table.metadata().partition_columns
    for batch in batches_of(table, matcher):
        rows = batch.filter(matcher.mask(batch, card))
        if not rows.num_rows:
            continue
        keys = list(zip(*(rows.column(column).to_pylist() for column in columns), strict=True)) or [()] * rows.num_rows
        for key in dict.fromkeys(keys):
            yield rows.filter(pa.array([key == other for other in keys])), key


def repeated_positions(
    table: DeltaTable, matcher: CardRowMatcher, found: Collection[tuple[Any, ...]]
) -> set[tuple[Any, ...]]:
    """Those positions of found rows that other rows of the table have, too.

    A topic that was deleted and created again gives messages the positions of earlier ones, and several services may
    refuse one message.

    Args:
        found: the position of each found row.
    """
    dataset: Any = table.to_pyarrow_dataset()
    offsets = pa.array({place[-1] for place in found}, pa.int64())
    near = dataset.to_table(columns=list(matcher.place), filter=pc.field(matcher.place[-1]).isin(offsets))
    all_rows = Counter(zip(*(near.column(name).to_pylist() for name in matcher.place), strict=True))
    return {place for place, number in Counter(found).items() if all_rows[place] > number}


def old_files(table: DeltaTable, files: pafs.FileSystem) -> Iterator[tuple[str, pafs.FileInfo]]:
    """The data files that are not part of the current version."""
    actions: Any = table.get_add_actions()
    live = {unquote(path) for path in actions.column("path").to_pylist()}
    for entry in files.get_file_info(pafs.FileSelector("", recursive=True)):
        hidden = entry.path.startswith(LOG_DIR) or entry.base_name.startswith(".")
        data = entry.type is pafs.FileType.File and not hidden and entry.path.endswith(".parquet")
        if data and unquote(entry.path) not in live:
            yield entry.path, entry


def matches_in(files: pafs.FileSystem, path: str, matcher: CardRowMatcher, card: Card) -> Iterator[pa.RecordBatch]:
    """A card's rows in an old file; none if a vacuum has deleted it or it is not completely written."""
    try:
        with files.open_input_file(path) as source:
            file = pq.ParquetFile(source)
            columns = [column for column in matcher.columns if column in file.schema_arrow.names]
            if set(matcher.columns) - set(columns):
                return
            for raw in file.iter_batches(_ROWS_PER_BATCH, columns=columns):
                batch = _without_views(raw)
                rows = batch.filter(matcher.mask(batch, card))
                if rows.num_rows:
                    yield rows
    except FileNotFoundError:
        return
    except pa.ArrowInvalid:
        return


def _all_matches(catalog: Catalog, name: str, card: Card) -> Iterator[pa.RecordBatch]:
    if name not in catalog.names():
        return
    table = catalog.open(name)
    matcher = matcher_of(table, name)
    assert matcher is not None, f"{name} has no matcher"
    for rows, _ in matches(table, matcher, card):
        yield rows
    files = storage_of(table)
    for path, _ in old_files(table, files):
        yield from matches_in(files, path, matcher, card)


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with plain types: Arrow has few functions for the views that files of delta-rs are read as."""
    plain: Any = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    columns = [column.cast(plain.get(column.type, column.type)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


@dataclass(frozen=True)
class _OtherCards:
    """What silver and the dead letters have for cards other than one."""

    catalog: Catalog
    token: str
    read: MessageReader

    def __call__(self, positions: Collection[Position]) -> set[Position]:
        """Those of some positions that messages of other cards have."""
        found: set[Any] = set()
        for *position, token in self._near(SILVER_TRANSACTIONS.name, RAW_POSITION, CARD_COLUMN, positions):
            if token != self.token:
                found.add(tuple(position))
        for *position, value in self._near(BRONZE_QUARANTINE.name, MessageMatcher().place, "value", positions):
            if tuple(position) in positions and self.read(value).tokens - {self.token}:
                found.add(tuple(position))
        return found.intersection(positions)

    def ids(self, ids: Collection[str]) -> set[str]:
        """Those of some transaction ids that other cards' transactions have, too."""
        if not ids or SILVER_TRANSACTIONS.name not in self.catalog.names():
            return set()
        found: set[str] = set()
        wanted = pa.array(ids, pa.string())
        dataset: Any = self.catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_dataset()
        for raw in dataset.to_batches(columns=[TRANSACTION_ID, CARD_COLUMN], batch_size=_ROWS_PER_BATCH):
            batch = _without_views(raw)
            same = pc.and_(pc.is_in(batch.column(0), wanted), pc.not_equal(batch.column(1), self.token))
            found.update(one for one in batch.column(0).filter(same).to_pylist() if one is not None)
        return found

    def _near(
        self, name: str, place: tuple[str, ...], column: str, positions: Collection[Position]
    ) -> Iterator[tuple[Any, ...]]:
        """Position and one column of the rows whose offset is that of one of the positions."""
        if name not in self.catalog.names():
            return
        columns, offsets = [*place, column], pa.array({offset for *_, offset in positions}, pa.int64())
        dataset: Any = self.catalog.open(name).to_pyarrow_dataset()
        # Only numbers are compared while reading: Arrow cannot compare the views that text of delta-rs is read as.
        where = pc.field(place[-1]).isin(offsets)
        for batch in dataset.to_batches(columns=columns, filter=where, batch_size=_ROWS_PER_BATCH):
            yield from zip(*(batch.column(one).to_pylist() for one in columns), strict=True)
