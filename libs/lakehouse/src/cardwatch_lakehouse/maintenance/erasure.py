"""Erasing one card from the tables and from their history (docs/table-maintenance.md, what it does not reach).

First the rows go, then, when nobody reads them any more, the files that held them and what the log says of these.
Killed in between, done again: what belongs to the card is found in silver, and after that in silver's old files, which
go last.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.internals import storage_of
from cardwatch_lakehouse.maintenance.card_rows import ALERT_ID, Card, Trace, quoted, trace_in
from cardwatch_lakehouse.maintenance.commit_retry import retried
from cardwatch_lakehouse.maintenance.log_redaction import LOG, paths_in, take_out
from cardwatch_lakehouse.tables import GOLD_ALERTS, SILVER_TRANSACTIONS

_ROWS_AT_ONCE: Final = 65_536
# No write takes longer: a file that the log does not name by then never gets into it.
_UNFINISHED: Final = timedelta(days=1)
_EVIDENCE: Final = "evidence_transaction_ids"
# Rows of a message table that one command names.
_ROWS_A_COMMAND: Final = 2_000


@dataclass(slots=True)
class Forgotten:
    """What was erased.

    Attributes:
        rows: deleted, by table.
        files: old files deleted, by table.
        log_files: log files rewritten or deleted.
        unfinished: files that hold the card and may belong to a write that goes on; the log does not name them.
        left: other files that still hold it.
    """

    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    log_files: int = 0
    unfinished: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def delete_rows(catalog: Catalog, token: str, done: Forgotten, *, dry_run: bool = False) -> None:
    """Delete a card's rows from every table; adds to `done`.

    Silver goes after bronze, which is found through it, and before what the service makes of it.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = known(catalog, token)
    for name in _in_order(catalog, last=()):
        trace = _trace(catalog.open(name), name)
        if trace is None:
            continue
        deleted = _delete(catalog, name, trace, card, dry_run=dry_run)
        if deleted:
            done.rows[name] = done.rows.get(name, 0) + deleted
        if name == GOLD_ALERTS.name and card.transactions and not dry_run:
            _take_out_of_evidence(catalog, card)


def purge(catalog: Catalog, token: str, done: Forgotten) -> None:
    """Delete the old files that hold a card's rows, and what the logs say of it; adds to `done`.

    Only files that are no longer part of a table: those of a write that goes on are left, and named. Whoever still
    reads an old version then misses a file.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = known(catalog, token)
    for name in _in_order(catalog, last=(SILVER_TRANSACTIONS.name,)):
        table = catalog.open(name)
        trace = _trace(table, name)
        if trace is None:
            continue
        files = storage_of(table)
        named, now = paths_in(files), datetime.now(UTC)
        for path, entry in _old_files(table, files):
            if not _holds(files, path, trace, card):
                continue
            if path in named or now - _written(entry) > _UNFINISHED:
                files.delete_file(path)
                done.files[name] = done.files.get(name, 0) + 1
            else:
                done.unfinished.append(f"{name}/{path}")
        # Its own version may have a checkpoint by now; the log is clean of the card from this version on.
        catalog.open(name).create_checkpoint()
        cleaned = take_out(files, token)
        done.log_files += cleaned.rewritten + cleaned.deleted
        done.left += [f"{name}/{path}" for path in cleaned.left]


def known(catalog: Catalog, token: str) -> Card:
    """What belongs to a card, by silver and gold.alerts as they are, and by their old files."""
    card = Card(token)
    for name in (SILVER_TRANSACTIONS.name, GOLD_ALERTS.name):
        if name not in catalog.names():
            continue
        table = catalog.open(name)
        trace = _trace(table, name)
        assert trace is not None, f"cards are not told in {name}"
        for rows, _ in _matches(table, trace, card):
            card.learn(name, rows)
        files = storage_of(table)
        for path, _ in _old_files(table, files):
            for rows in _matches_in(files, path, trace, card):
                card.learn(name, rows)
    return card


def _in_order(catalog: Catalog, last: tuple[str, ...]) -> list[str]:
    # Bronze is found through silver, and what refers to alerts through these; what is made of silver comes after it.
    first = ("bronze.", "gold.alert_", GOLD_ALERTS.name, SILVER_TRANSACTIONS.name)

    def rank(name: str) -> int:
        return next((at for at, start in enumerate(first) if name.startswith(start)), len(first))

    return sorted(catalog.names(), key=lambda name: (name in last, rank(name)))


def _trace(table: DeltaTable, name: str) -> Trace | None:
    return trace_in(name, [column.name for column in table.schema().fields])


def _delete(catalog: Catalog, name: str, trace: Trace, card: Card, *, dry_run: bool) -> int:
    table = catalog.open(name)
    deleted = 0
    partitions: dict[tuple[Any, ...], list[pa.RecordBatch]] = {}
    for rows, key in _matches(table, trace, card):
        deleted += rows.num_rows
        partitions.setdefault(key, []).append(rows)
    if dry_run:
        return deleted
    columns = table.metadata().partition_columns
    for key, batches in partitions.items():
        found = [row for rows in batches for row in rows.to_pylist()]
        for first in range(0, len(found), _ROWS_A_COMMAND):
            where = trace.where(found[first : first + _ROWS_A_COMMAND], card)
            # A commit a partition: short ones, between those of who writes.
            these = " AND ".join(
                [*(f'"{c}" = {_constant(v)}' for c, v in zip(columns, key, strict=True)), f"({where})"]
            )
            retried(lambda these=these: catalog.open(name).delete(these))  # type: ignore[misc]
    return deleted


def _constant(value: Any) -> str:
    return f"DATE {quoted(value)}" if hasattr(value, "isoformat") else quoted(value)


def _take_out_of_evidence(catalog: Catalog, card: Card) -> None:
    """Other cards' alerts stay, without the ids of this card's transactions."""

    def attempt() -> None:
        table = catalog.open(GOLD_ALERTS.name)
        dataset: Any = table.to_pyarrow_dataset()
        # The merge names no ids, so that the log does not either.
        cut = [
            {ALERT_ID: alert, _EVIDENCE: [one for one in evidence if one not in card.transactions]}
            for batch in dataset.to_batches(columns=[ALERT_ID, _EVIDENCE])
            for alert, evidence in zip(*(batch.column(name).to_pylist() for name in (ALERT_ID, _EVIDENCE)), strict=True)
            if evidence and not card.transactions.isdisjoint(evidence)
        ]
        if cut:
            source = pa.Table.from_pylist(cut, pa.schema([(ALERT_ID, pa.string()), (_EVIDENCE, pa.list_(pa.string()))]))
            table.merge(
                source, f"held.{ALERT_ID} = cut.{ALERT_ID}", source_alias="cut", target_alias="held"
            ).when_matched_update({_EVIDENCE: f"cut.{_EVIDENCE}"}).execute()

    retried(attempt)


def _matches(table: DeltaTable, trace: Trace, card: Card) -> Iterator[tuple[pa.RecordBatch, tuple[Any, ...]]]:
    """A card's rows in the current version: the columns of the trace, and the values of the partition."""
    columns = table.metadata().partition_columns
    dataset: Any = table.to_pyarrow_dataset()
    for batch in dataset.to_batches(columns=list(dict.fromkeys([*trace.columns, *columns])), batch_size=_ROWS_AT_ONCE):
        rows = batch.filter(trace.mask(batch, card))
        if not rows.num_rows:
            continue
        keys = list(zip(*(rows.column(column).to_pylist() for column in columns), strict=True)) or [()] * rows.num_rows
        for key in dict.fromkeys(keys):
            yield rows.filter(pa.array([key == other for other in keys])), key


def _old_files(table: DeltaTable, files: pafs.FileSystem) -> Iterator[tuple[str, pafs.FileInfo]]:
    """The data files that are there and not part of the current version."""
    actions: Any = table.get_add_actions()
    live = {unquote(path) for path in actions.column("path").to_pylist()}
    for entry in files.get_file_info(pafs.FileSelector("", recursive=True)):
        hidden = entry.path.startswith(LOG) or entry.base_name.startswith(".")
        data = entry.type is pafs.FileType.File and not hidden and entry.path.endswith(".parquet")
        if data and unquote(entry.path) not in live:
            yield entry.path, entry


def _written(entry: pafs.FileInfo) -> datetime:
    return entry.mtime or datetime.now(UTC)


def _holds(files: pafs.FileSystem, path: str, trace: Trace, card: Card) -> bool:
    return any(True for _ in _matches_in(files, path, trace, card))


def _matches_in(files: pafs.FileSystem, path: str, trace: Trace, card: Card) -> Iterator[pa.RecordBatch]:
    try:
        with files.open_input_file(path) as source:
            held = pq.ParquetFile(source)
            columns = [column for column in trace.columns if column in held.schema_arrow.names]
            if set(trace.columns) - set(columns):
                return
            for raw in held.iter_batches(_ROWS_AT_ONCE, columns=columns):
                batch = _without_views(raw)
                rows = batch.filter(trace.mask(batch, card))
                if rows.num_rows:
                    yield rows
    except FileNotFoundError:  # a vacuum came before
        return
    except pa.ArrowInvalid:  # not written to its end
        return


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Arrow computes little with what delta-rs has some of its files read as."""
    plain: Any = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    columns = [column.cast(plain.get(column.type, column.type)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
