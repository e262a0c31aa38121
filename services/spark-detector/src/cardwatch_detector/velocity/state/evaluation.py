"""The part of the velocity query that runs in Spark's Python workers: groups of events in, encoded alerts out."""

import sys
import zipimport
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from cardwatch_contracts.wire import Encoder
from cardwatch_rules.evaluate import Ledger
from cardwatch_rules.fields import PROFILE_FIELDS, SCOPE_KEYS, profile_name
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.profiles import ARRIVED, IS_PROFILE
from cardwatch_rules.transitions import transitions
from cardwatch_units.timestamps import now_microseconds

from cardwatch_detector.velocity.publishing.alert_records import alert_records
from cardwatch_detector.velocity.rules.active_rules import worker_report
from cardwatch_detector.velocity.rules.rule_set import RuleSet, RuleSetSource
from cardwatch_detector.velocity.state.result import RESULT
from cardwatch_detector.velocity.state.state import (
    BATCH,
    EVALUATE_FROM,
    EVENTS,
    KEY,
    PROFILE,
    SCOPE,
    STAMP,
    TRANSACTION,
)
from cardwatch_detector.velocity.state.stored_event import KEY_NOT_STORED, times

# Rows to gather before one vectorised evaluation: enough to drown its fixed cost, few enough to bound memory.
_ROWS_AT_ONCE: Final = 200_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a worker needs to evaluate groups; it is pickled to the workers."""

    rule_sets: RuleSetSource
    alert_schema_id: int
    evidence_limit: int

    def function(self) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
        """The function for ``DataFrame.mapInArrow``."""
        return self._evaluate

    def _alerts(
        self, rule_set: RuleSet, scope: str, table: Any, detected_at: int, ledger: Ledger
    ) -> Iterator[dict[str, Any]]:
        keys, arrivals = flatten(table.filter(pc.equal(table[SCOPE], pa.scalar(scope))), SCOPE_KEYS[scope])
        for transition in transitions(arrivals, rule_set.of_scope(scope), rule_set.lists, ledger):
            yield from alert_records(transition, keys, evidence_limit=self.evidence_limit, detected_at_us=detected_at)

    def _evaluate(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        _forget_zips()
        encode = Encoder("alert", self.alert_schema_id)
        rule_set = self.rule_sets.current()
        for table in _gather(batches):
            detected_at = now_microseconds()
            ledger = Ledger()
            found = [
                record
                for scope in pc.unique(table[SCOPE]).to_pylist()
                for record in self._alerts(rule_set, scope, table, detected_at, ledger)
            ]
            report = worker_report(ledger, int(pc.sum(pc.list_value_length(table[EVENTS])).as_py() or 0))
            if report is not None:
                yield pa.RecordBatch.from_pylist([{"report": report}], schema=RESULT)
            if found:
                yield pa.RecordBatch.from_pylist(
                    [
                        {
                            "key": record["key"],
                            "value": encode(record),
                            "rule_id": record["rule_id"],
                            "status": record["status"],
                            "mode": record["mode"],
                            "event_time": record["event_time"],
                            "raw_broker_time": record["raw_broker_time"],
                            "detected_at": detected_at,
                        }
                        for record in found
                    ],
                    schema=RESULT,
                )


def flatten(groups: Any, key_field: str) -> tuple[list[str], pl.DataFrame]:
    """One row an event: the keys of the groups by their number, and the frame that ``transitions`` takes."""
    keys = groups[KEY].to_pylist()
    events = groups[EVENTS].combine_chunks()
    lengths = events.value_lengths().to_numpy(zero_copy_only=False)
    flat = events.flatten()
    event_time, batch = times(flat.field(STAMP)).T
    this_batch = np.repeat(times(groups[BATCH], width=1)[:, 0], lengths)
    group = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    transactions: Any = pa.Table.from_struct_array(flat.field(TRANSACTION))
    # raw_broker_time is a timestamp in the message; everything here counts microseconds.
    frame = (
        pl.DataFrame(transactions)
        .hstack(_profiles(flat, batch))
        .with_columns(
            pl.col("raw_broker_time").cast(pl.Int64),
            pl.Series("group", group),
            pl.Series("event_time", event_time),
            pl.Series("evaluate_from", np.repeat(groups[EVALUATE_FROM].to_numpy(), lengths)),
            pl.Series("is_new", batch == this_batch),
        )
    )
    if key_field in frame.columns:
        stored = pl.col(key_field)
        frame = frame.with_columns(
            pl.when(stored == KEY_NOT_STORED).then(pl.Series(keys, dtype=pl.String).gather(group)).otherwise(stored)
            .alias(key_field)
        )  # fmt: skip
    if IS_PROFILE in frame.columns:
        # Nobody has stamped a profile on its way: what it changes is counted from when it came.
        frame = frame.with_columns(pl.col("raw_broker_time").fill_null(pl.col(ARRIVED)))
    return keys, frame


def _profiles(flat: Any, arrived_us: Any) -> pl.DataFrame:
    """The columns of profiles among the events, as ``transitions`` takes them; none where there are no profiles."""
    index = flat.type.get_field_index(PROFILE)
    if index < 0 or flat.field(index).null_count == len(flat):
        return pl.DataFrame()
    found: Any = pa.Table.from_struct_array(flat.field(index))
    return (
        pl.DataFrame(found)
        .select(
            pl.col(field).cast(polars_type(kind)).alias(profile_name(field)) for field, kind in PROFILE_FIELDS.items()
        )
        .with_columns(
            pl.Series(IS_PROFILE, flat.field(index).is_valid().to_numpy(zero_copy_only=False)),
            pl.Series(ARRIVED, arrived_us),
        )
    )


def _gather(batches: Iterable[pa.RecordBatch]) -> Iterator[Any]:
    held: list[Any] = []
    rows = 0
    for batch in batches:
        events: Any = batch.column(batch.schema.get_field_index(EVENTS))
        if batch.num_rows:
            held.append(batch)
            rows += len(events.flatten())
        if rows >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _forget_zips() -> None:
    """Stop the import system from reading zip directories anew in every task.

    Spark calls importlib.invalidate_caches() for each task; pyspark.zip and the jars among the path entries then cost
    some 150 ms. The same packages are installed as files, so nothing is missed.
    """
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimport.zipimporter):
            del sys.path_importer_cache[path]
            if path in sys.path:
                sys.path.remove(path)
