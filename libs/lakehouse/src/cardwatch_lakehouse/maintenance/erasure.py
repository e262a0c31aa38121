"""Erases one card from the tables and from their history (docs/table-maintenance.md says what it does not reach).

First the rows are deleted; then, when nothing reads them any more, the files that contained them and the log's entries
of these files. If it is killed in between, it can be run again: the card's rows are found through silver, and then
through silver's old files, which are deleted last.
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
from cardwatch_lakehouse.maintenance.card_rows import ALERT_ID, Card, CardRowMatcher, matcher_for, quoted
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict
from cardwatch_lakehouse.maintenance.log_redaction import LOG_DIR, named_data_files, redact_log
from cardwatch_lakehouse.tables import GOLD_ALERTS, SILVER_TRANSACTIONS

_ROWS_PER_BATCH: Final = 65_536
# No write takes longer: a file that the log does not name after this time never gets into it.
_MAX_WRITE_TIME: Final = timedelta(days=1)
_EVIDENCE: Final = "evidence_transaction_ids"
# Rows of a table of messages that one DELETE names.
_ROWS_PER_COMMAND: Final = 2_000


@dataclass(slots=True)
class Erasure:
    """What was erased.

    Attributes:
        rows: number of deleted rows, by table.
        files: number of deleted old files, by table.
        log_files: number of log files that were rewritten or deleted.
        unfinished: files that contain the card and may belong to a write in progress; the log does not name them.
        left: other files that still contain the card.
    """

    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    log_files: int = 0
    unfinished: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def delete_rows(catalog: Catalog, token: str, done: Erasure, *, dry_run: bool = False) -> None:
    """Delete a card's rows from every table; adds to `done`.

    Silver comes after bronze, whose rows are found through it, and before the tables that are derived from it.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = find_card(catalog, token)
    for name in _in_order(catalog, last=()):
        matcher = _matcher(catalog.open(name), name)
        if matcher is None:
            continue
        deleted = _delete(catalog, name, matcher, card, dry_run=dry_run)
        if deleted:
            done.rows[name] = done.rows.get(name, 0) + deleted
        if name == GOLD_ALERTS.name and card.transactions and not dry_run:
            _remove_from_evidence(catalog, card)


def purge(catalog: Catalog, token: str, done: Erasure) -> None:
    """Delete the old files that contain a card's rows, and remove it from the logs; adds to `done`.

    Only files that are no longer part of a table are deleted; those of a write in progress are left and reported. A
    reader of an old version then misses a file.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = find_card(catalog, token)
    for name in _in_order(catalog, last=(SILVER_TRANSACTIONS.name,)):
        table = catalog.open(name)
        matcher = _matcher(table, name)
        if matcher is None:
            continue
        files = storage_of(table)
        named, now = named_data_files(files), datetime.now(UTC)
        for path, entry in _old_files(table, files):
            if not _has_card(files, path, matcher, card):
                continue
            if path in named or now - _written_at(entry) > _MAX_WRITE_TIME:
                files.delete_file(path)
                done.files[name] = done.files.get(name, 0) + 1
            else:
                done.unfinished.append(f"{name}/{path}")
        # The version of the deletion may have a checkpoint by now; the log does not name the card from here on.
        catalog.open(name).create_checkpoint()
        redacted = redact_log(files, token)
        done.log_files += redacted.rewritten + redacted.deleted
        done.left += [f"{name}/{path}" for path in redacted.left]


def find_card(catalog: Catalog, token: str) -> Card:
    """A card with its transactions and alerts, from silver and gold.alerts as they are, and from their old files."""
    card = Card(token)
    for name in (SILVER_TRANSACTIONS.name, GOLD_ALERTS.name):
        if name not in catalog.names():
            continue
        table = catalog.open(name)
        matcher = _matcher(table, name)
        assert matcher is not None, f"{name} has no matcher"
        for rows, _ in _matches(table, matcher, card):
            card.add_rows(name, rows)
        files = storage_of(table)
        for path, _ in _old_files(table, files):
            for rows in _matches_in(files, path, matcher, card):
                card.add_rows(name, rows)
    return card


def _in_order(catalog: Catalog, last: tuple[str, ...]) -> list[str]:
    # Bronze's rows are found through silver, rows that refer to alerts through these; tables derived from silver come
    # after it.
    first = ("bronze.", "gold.alert_", GOLD_ALERTS.name, SILVER_TRANSACTIONS.name)

    def rank(name: str) -> int:
        return next((at for at, start in enumerate(first) if name.startswith(start)), len(first))

    return sorted(catalog.names(), key=lambda name: (name in last, rank(name)))


def _matcher(table: DeltaTable, name: str) -> CardRowMatcher | None:
    return matcher_for(name, [column.name for column in table.schema().fields])


def _delete(catalog: Catalog, name: str, matcher: CardRowMatcher, card: Card, *, dry_run: bool) -> int:
    table = catalog.open(name)
    deleted = 0
    partitions: dict[tuple[Any, ...], list[pa.RecordBatch]] = {}
    for rows, key in _matches(table, matcher, card):
        deleted += rows.num_rows
        partitions.setdefault(key, []).append(rows)
    if dry_run:
        return deleted
    columns = table.metadata().partition_columns
    for key, batches in partitions.items():
        found = [row for rows in batches for row in rows.to_pylist()]
        for first in range(0, len(found), _ROWS_PER_COMMAND):
            where = matcher.where(found[first : first + _ROWS_PER_COMMAND], card)
            # One commit per partition: short ones, which fit between those of other writers.
            predicate = " AND ".join(
                [*(f'"{c}" = {_constant(v)}' for c, v in zip(columns, key, strict=True)), f"({where})"]
            )
            retry_maintenance_on_conflict(lambda predicate=predicate: catalog.open(name).delete(predicate))  # type: ignore[misc]
    return deleted


def _constant(value: Any) -> str:
    return f"DATE {quoted(value)}" if hasattr(value, "isoformat") else quoted(value)


def _remove_from_evidence(catalog: Catalog, card: Card) -> None:
    """Remove the ids of this card's transactions from the alerts of other cards."""

    def attempt() -> None:
        table = catalog.open(GOLD_ALERTS.name)
        dataset: Any = table.to_pyarrow_dataset()
        # The merge's predicate has no ids, so that the log has none either.
        changed = [
            {ALERT_ID: alert, _EVIDENCE: [one for one in evidence if one not in card.transactions]}
            for batch in dataset.to_batches(columns=[ALERT_ID, _EVIDENCE])
            for alert, evidence in zip(*(batch.column(name).to_pylist() for name in (ALERT_ID, _EVIDENCE)), strict=True)
            if evidence and not card.transactions.isdisjoint(evidence)
        ]
        if changed:
            schema = pa.schema([(ALERT_ID, pa.string()), (_EVIDENCE, pa.list_(pa.string()))])
            table.merge(
                pa.Table.from_pylist(changed, schema),
                f"target.{ALERT_ID} = source.{ALERT_ID}",
                source_alias="source",
                target_alias="target",
            ).when_matched_update({_EVIDENCE: f"source.{_EVIDENCE}"}).execute()

    retry_maintenance_on_conflict(attempt)


def _matches(
    table: DeltaTable, matcher: CardRowMatcher, card: Card
) -> Iterator[tuple[pa.RecordBatch, tuple[Any, ...]]]:
    """A card's rows in the current version with the matcher's columns, and the values of their partition."""
    columns = table.metadata().partition_columns
    dataset: Any = table.to_pyarrow_dataset()
    for batch in dataset.to_batches(
        columns=list(dict.fromkeys([*matcher.columns, *columns])), batch_size=_ROWS_PER_BATCH
    ):
        rows = batch.filter(matcher.mask(batch, card))
        if not rows.num_rows:
            continue
        keys = list(zip(*(rows.column(column).to_pylist() for column in columns), strict=True)) or [()] * rows.num_rows
        for key in dict.fromkeys(keys):
            yield rows.filter(pa.array([key == other for other in keys])), key


def _old_files(table: DeltaTable, files: pafs.FileSystem) -> Iterator[tuple[str, pafs.FileInfo]]:
    """The data files that are not part of the current version."""
    actions: Any = table.get_add_actions()
    live = {unquote(path) for path in actions.column("path").to_pylist()}
    for entry in files.get_file_info(pafs.FileSelector("", recursive=True)):
        hidden = entry.path.startswith(LOG_DIR) or entry.base_name.startswith(".")
        data = entry.type is pafs.FileType.File and not hidden and entry.path.endswith(".parquet")
        if data and unquote(entry.path) not in live:
            yield entry.path, entry


def _written_at(entry: pafs.FileInfo) -> datetime:
    return entry.mtime or datetime.now(UTC)


def _has_card(files: pafs.FileSystem, path: str, matcher: CardRowMatcher, card: Card) -> bool:
    return any(True for _ in _matches_in(files, path, matcher, card))


def _matches_in(files: pafs.FileSystem, path: str, matcher: CardRowMatcher, card: Card) -> Iterator[pa.RecordBatch]:
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
    except FileNotFoundError:  # deleted by a vacuum
        return
    except pa.ArrowInvalid:  # not completely written
        return


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with plain types: Arrow has few functions for the views that files of delta-rs are read as."""
    plain: Any = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    columns = [column.cast(plain.get(column.type, column.type)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
