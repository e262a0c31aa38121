"""Erases one card from the tables and from their history (docs/table-maintenance.md says what it does not reach).

First the rows are deleted; then, when nothing reads them any more, the files that contained them and the log's entries
of these files. If it is killed in between, it can be run again: the card's rows are found through silver, and then
through silver's old files, which are deleted last.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import DeltaTable

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.internals import storage_of
from cardwatch_lakehouse.maintenance.card_rows import ALERT_ID, CARD_COLUMN, CardRowMatcher, MessageMatcher, quoted
from cardwatch_lakehouse.maintenance.card_search import (
    batches_of,
    find_card,
    matcher_of,
    matches,
    matches_in,
    old_files,
    repeated_positions,
)
from cardwatch_lakehouse.maintenance.conflict_retry import retry_maintenance_on_conflict
from cardwatch_lakehouse.maintenance.log_redaction import named_data_files, redact_log
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_lakehouse.maintenance.message_ownership import Card, Match
from cardwatch_lakehouse.maintenance.survey import Survey
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, BRONZE_TRANSACTIONS, GOLD_ALERTS, SILVER_TRANSACTIONS

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


def delete_rows(
    catalog: Catalog, token: str, done: Erasure, *, reader: MessageReader | None = None, dry_run: bool = False
) -> None:
    """Delete a card's rows from every table; adds to `done`.

    Silver comes after bronze, whose rows are found through it, and before the tables that are derived from it.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = find_card(catalog, token, reader)
    for name in _in_order(catalog, last=()):
        matcher = matcher_of(catalog.open(name), name)
        if matcher is None:
            continue
        deleted = _delete(catalog, name, matcher, card, dry_run=dry_run)
        if deleted:
            done.rows[name] = done.rows.get(name, 0) + deleted
        if name == GOLD_ALERTS.name and card.transactions and not dry_run:
            _remove_from_evidence(catalog, card)


def purge(catalog: Catalog, token: str, done: Erasure, reader: MessageReader | None = None) -> None:
    """Delete the old files that contain a card's rows, and remove it from the logs; adds to `done`.

    Only files that are no longer part of a table are deleted; those of a write in progress are left and reported. A
    reader of an old version then misses a file.

    Raises:
        ConfigurationError: there are no tables.
        deltalake.exceptions.DeltaError: a table cannot be written.
    """
    card = find_card(catalog, token, reader)
    for name in _in_order(catalog, last=(BRONZE_QUARANTINE.name, SILVER_TRANSACTIONS.name)):
        table = catalog.open(name)
        matcher = matcher_of(table, name)
        if matcher is None:
            continue
        files = storage_of(table)
        named, now = named_data_files(files), datetime.now(UTC)
        for path, entry in old_files(table, files):
            if not any(True for _ in matches_in(files, path, matcher, card)):
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


def survey(catalog: Catalog, token: str, reader: MessageReader | None = None) -> Survey:
    """Count the rows that ``delete_rows`` would delete, and why; nothing is changed.

    Raises:
        ConfigurationError: there are no tables.
        RegistryUnavailableError: the reader's registry does not answer.
    """
    card = find_card(catalog, token, reader)
    result = Survey(known_messages=len(card.messages.keys() | card.refused.keys()))
    for name in _in_order(catalog, last=()):
        table = catalog.open(name)
        matcher = matcher_of(table, name)
        if matcher is None:
            continue
        if isinstance(matcher, MessageMatcher):
            unknown = result.unknown_messages if name in (BRONZE_TRANSACTIONS.name, BRONZE_QUARANTINE.name) else []
            result.matches[name] = _count_messages(table, matcher, card, unknown)
        else:
            result.matches[name] = sum((matcher.count(batch, card) for batch in batches_of(table, matcher)), Counter())
        if name == GOLD_ALERTS.name:
            result.alerts_of_others = len(_changed_evidence(table, card))
    return result


def _count_messages(table: DeltaTable, matcher: MessageMatcher, card: Card, unknown: list[str]) -> Counter[Match]:
    """Count by reason; add the positions of the card's rows that neither silver nor a dead letter has to `unknown`."""
    counts: Counter[Match] = Counter()
    for batch in batches_of(table, matcher):
        for number, match in matcher.matches(batch, card).items():
            counts[match] += 1
            place: Any = tuple(batch.column(name)[number].as_py() for name in matcher.place)
            if match.erased and place not in card.messages and place not in card.refused:
                unknown.append("/".join(map(str, place)))
    return counts


def _in_order(catalog: Catalog, last: tuple[str, ...]) -> list[str]:
    # Bronze's rows are found through silver, rows that refer to alerts through these; tables derived from silver come
    # after it.
    first = ("bronze.", "gold.alert_", GOLD_ALERTS.name, SILVER_TRANSACTIONS.name)

    def rank(name: str) -> int:
        return next((at for at, start in enumerate(first) if name.startswith(start)), len(first))

    return sorted(catalog.names(), key=lambda name: (name in last, rank(name)))


def _delete(catalog: Catalog, name: str, matcher: CardRowMatcher, card: Card, *, dry_run: bool) -> int:
    table = catalog.open(name)
    deleted = 0
    partitions: dict[tuple[Any, ...], list[pa.RecordBatch]] = {}
    for rows, key in matches(table, matcher, card):
        deleted += rows.num_rows
        partitions.setdefault(key, []).append(rows)
    if dry_run:
        return deleted
    columns = table.metadata().partition_columns
    repeated: set[tuple[Any, ...]] = set()
    if matcher.place and deleted:
        places = [[rows.column(column).to_pylist() for column in matcher.place] for rows in chain(*partitions.values())]
        repeated = repeated_positions(table, matcher, [place for one in places for place in zip(*one, strict=True)])
    for key, batches in partitions.items():
        found = [row for rows in batches for row in rows.to_pylist()]
        for first in range(0, len(found), _ROWS_PER_COMMAND):
            where = matcher.where(found[first : first + _ROWS_PER_COMMAND], card, repeated)
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
        # The merge's predicate has no ids, so that the log has none either.
        changed = _changed_evidence(table, card)
        if changed:
            schema = pa.schema([(ALERT_ID, pa.string()), (_EVIDENCE, pa.list_(pa.string()))])
            table.merge(
                pa.Table.from_pylist(changed, schema),
                f"target.{ALERT_ID} = source.{ALERT_ID}",
                source_alias="source",
                target_alias="target",
            ).when_matched_update({_EVIDENCE: f"source.{_EVIDENCE}"}).execute()

    retry_maintenance_on_conflict(attempt)


def _changed_evidence(table: DeltaTable, card: Card) -> list[dict[str, Any]]:
    """The other cards' alerts with an id of the card's transactions in their evidence, without these ids."""
    dataset: Any = table.to_pyarrow_dataset()
    # An id that another card's transaction has as well stays: nothing says which of the two an alert means.
    ids = card.transactions - card.shared
    return [
        {ALERT_ID: row[ALERT_ID], _EVIDENCE: [one for one in row[_EVIDENCE] if one not in ids]}
        for batch in dataset.to_batches(columns=[ALERT_ID, _EVIDENCE, "scope", "key", CARD_COLUMN])
        for row in batch.to_pylist()
        if row[_EVIDENCE]
        and not ids.isdisjoint(row[_EVIDENCE])
        # The evidence of an alert per card is that card's.
        and row["scope"] != "card"
        and row[CARD_COLUMN] != card.token
    ]


def _written_at(entry: pafs.FileInfo) -> datetime:
    return entry.mtime or datetime.now(UTC)
