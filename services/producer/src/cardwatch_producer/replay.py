"""Replays a file: its rows as transactions, each with the time at which it is sent."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from cardwatch_contracts.topics import TRANSACTIONS_LABELS, TRANSACTIONS_RAW
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_mapping.mapping import EVENT_TIME, Mapping
from cardwatch_mapping.rows import RowReader
from cardwatch_mapping.tables import Table
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND


class Replayed(NamedTuple):
    """One row, to be sent ``send_at`` seconds after the start."""

    send_at: float
    record: dict[str, Any]
    label: dict[str, Any] | None


class Span(NamedTuple):
    """First row's event time and the latest one, microseconds since 1970-01-01 UTC."""

    first: int
    latest: int


def event_time_span(table: Table, mapping: Mapping, reader: RowReader, limit: int | None) -> Span | None:
    """Read the event times alone; None for a file without rows.

    Raises:
        ConfigurationError: one of them is not a time.
    """
    first: int | None = None
    latest = 0
    for batch in _limited(table.batches(list(mapping.fields[EVENT_TIME].columns)), limit):
        times = reader.event_times(batch)
        if not times:
            continue
        first = times[0] if first is None else first
        latest = max(latest, *times) if first is not None else max(times)
    return None if first is None else Span(first, latest)


def shift_to_now(span: Span, now_us: int, speed: float) -> int:
    """How much to add to event times (microseconds) so that the latest is *now* when it is sent.

    At ``1x`` the first row is then now as well. At a higher speed the distances between event times stay as they are,
    windows count what they count in the file, and so the earlier rows lie in the past; none ever lies in the future.
    """
    return now_us + round((span.latest - span.first) / speed) - span.latest


def replay(
    table: Table, mapping: Mapping, reader: RowReader, *, speed: float, shift_us: int = 0, limit: int | None = None
) -> Iterator[Replayed]:
    """The rows in the file's order.

    Args:
        speed: how many times faster than they happened; infinity for as fast as possible.
        shift_us: added to every event time, microseconds.
        limit: the maximum number of rows.

    Raises:
        ConfigurationError: a value is not what the mapping says.
    """
    first: int | None = None
    for batch in _limited(table.batches(mapping.columns()), limit):
        for record, label in reader(batch):
            at = record[EVENT_TIME]
            first = at if first is None else first
            # A file need not be in order: what is older than the first row is sent at once.
            send_at = 0.0 if speed == math.inf else max(0.0, (at - first) / (MICROSECONDS_PER_SECOND * speed))
            record[EVENT_TIME] = at + shift_us
            yield Replayed(send_at, record, label)


def _limited(batches: Iterator[Any], limit: int | None) -> Iterator[Any]:
    left = math.inf if limit is None else limit
    for batch in batches:
        if batch.num_rows > left:
            yield batch.slice(0, int(left))
            return
        yield batch
        left -= batch.num_rows
        if left <= 0:
            return


class ReplayEncoder:
    """Encodes replayed rows, a fraudulent one's label first."""

    def __init__(self, transaction: Encoder, label: Encoder, topic_prefix: str = "") -> None:
        self._transaction = transaction
        self._label = label
        self._transactions_topic = TRANSACTIONS_RAW.name(topic_prefix)
        self._labels_topic = TRANSACTIONS_LABELS.name(topic_prefix)

    def __call__(self, item: Replayed) -> list[OutgoingMessage]:
        """What is sent for one row."""
        record = item.record
        out = OutgoingMessage(self._transactions_topic, record["card_token"].encode(), self._transaction(record))
        if item.label is None:
            return [out]
        key = item.label["transaction_id"].encode()
        return [OutgoingMessage(self._labels_topic, key, self._label(item.label)), out]
