"""Where a card leaves traces in the tables, and how its rows are told there."""

import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from cardwatch_lakehouse.tables import (
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_ALERTS,
    GOLD_VELOCITY_5M,
    SILVER_TRANSACTIONS,
)

# Its types know no scalars beside arrays.
pc: Any = pyarrow.compute

CARD_COLUMN: Final = "card_token"
ALERT_ID: Final = "alert_id"
RAW: Final = ("raw_topic", "raw_partition", "raw_offset")
_TRANSACTION_ID: Final = "transaction_id"
# Ids in one regular expression.
_IDS_AT_ONCE: Final = 200


@dataclass(slots=True)
class Card:
    """A card and what belongs to it.

    Attributes:
        transactions: ids of its transactions.
        messages: raw messages that its transactions came from: topic, partition and offset.
        alerts: ids of its alerts.
    """

    token: str
    transactions: set[str] = field(default_factory=set)
    messages: set[tuple[str, int, int]] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)

    def learn(self, name: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Take note of what rows of this card say, those of silver and of gold.alerts."""
        held: Any = rows
        if name == SILVER_TRANSACTIONS.name:
            self.transactions.update(held.column(_TRANSACTION_ID).to_pylist())
            self.messages.update(zip(*(held.column(column).to_pylist() for column in RAW), strict=True))
        elif name == GOLD_ALERTS.name:
            self.alerts.update(held.column(ALERT_ID).to_pylist())


class Trace(ABC):
    """How a card's rows are told in one table."""

    columns: Sequence[str]

    @abstractmethod
    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        """Which rows are the card's: an Arrow array of booleans."""

    @abstractmethod
    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        """SQL that is true of the card's rows; `rows` are those that ``mask`` has found."""


@dataclass(frozen=True)
class TokenTrace(Trace):
    """A column that holds the token.

    Attributes:
        kind: column and value that a row must have besides, so that what `column` holds is a card; empty: always.
    """

    column: str = CARD_COLUMN
    kind: tuple[str, str] | None = None
    also: tuple[str, ...] = ()  # columns that are read beside

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return (self.column, *((self.kind[0],) if self.kind else ()), *self.also)

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        found = pc.equal(rows.column(self.column), card.token)
        if self.kind:
            found = pc.and_(found, pc.equal(rows.column(self.kind[0]), self.kind[1]))
        return pc.fill_null(found, False)

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        kind = f" AND {self.kind[0]} = {quoted(self.kind[1])}" if self.kind else ""
        return f"({self.column} = {quoted(card.token)}{kind})"


@dataclass(frozen=True)
class EitherTrace(Trace):
    """Any of several."""

    traces: tuple[Trace, ...]

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(dict.fromkeys(column for trace in self.traces for column in trace.columns))

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        first, *others = (trace.mask(rows, card) for trace in self.traces)
        for other in others:
            first = pc.or_(first, other)
        return first

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        held = list(rows)
        return " OR ".join(trace.where(held, card) for trace in self.traces)


@dataclass(frozen=True)
class AlertTrace(Trace):
    """The id of one of the card's alerts."""

    columns: Sequence[str] = (ALERT_ID,)

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        return pc.fill_null(pc.is_in(rows.column(ALERT_ID), pa.array(sorted(card.alerts), pa.string())), False)

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        return f"{ALERT_ID} IN ({', '.join(quoted(row[ALERT_ID]) for row in rows)})"


@dataclass(frozen=True)
class MessageTrace(Trace):
    """A message as it came: the token, or the id of one of the transactions, is somewhere in its bytes, or silver says
    that one of the transactions came from it.

    Attributes:
        place: the columns that say which message it is, partition and offset last.
        raw: whether it is one that silver tells the place of.
    """

    place: tuple[str, ...] = ("topic", "partition", "offset")
    content: tuple[str, ...] = ("key", "value")
    raw: bool = False

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return (*self.place, *self.content)

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        found: Any = pa.array([False] * rows.num_rows)
        for column in self.content:
            for pattern in _patterns(card):
                held = pc.match_substring_regex(rows.column(column).cast(pa.binary()), pattern)
                found = pc.or_(found, pc.fill_null(held, False))
        if self.raw and card.messages:
            offsets = pa.array({offset for *_, offset in card.messages}, pa.int64())
            near = pc.fill_null(pc.is_in(rows.column("offset"), offsets), False)
            if pc.any(near).as_py():
                places = zip(*(rows.column(name).to_pylist() for name in self.place), strict=True)
                found = pc.or_(found, pa.array([place in card.messages for place in places]))
        return found

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        offsets: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        *others, last = self.place
        for row in rows:
            offsets[tuple(row[name] for name in others)].add(row[last])
        return " OR ".join(
            "(" + " AND ".join(
                [
                    *(f'"{name}" = {quoted(value)}' for name, value in zip(others, values, strict=True)),
                    f'"{last}" IN ({", ".join(map(str, sorted(numbers)))})',
                ]
            ) + ")"
            for values, numbers in offsets.items()
        )  # fmt: skip


def _patterns(card: Card) -> list[str]:
    wanted = [card.token, *sorted(card.transactions)]
    return [
        "|".join(re.escape(text) for text in wanted[first : first + _IDS_AT_ONCE])
        for first in range(0, len(wanted), _IDS_AT_ONCE)
    ]


def quoted(value: Any) -> str:
    """A value as a constant of SQL."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


TRACES: Final[Mapping[str, Trace]] = {
    BRONZE_TRANSACTIONS.name: MessageTrace(raw=True),
    BRONZE_LATE.name: EitherTrace((TokenTrace(), MessageTrace(("partition", "offset"), ("value",)))),
    BRONZE_QUARANTINE.name: MessageTrace(),
    GOLD_ALERTS.name: EitherTrace((TokenTrace(also=(ALERT_ID,)), TokenTrace("key", ("scope", "card")))),
    SILVER_TRANSACTIONS.name: TokenTrace(also=(_TRANSACTION_ID, *RAW)),
    GOLD_VELOCITY_5M.name: TokenTrace("key", ("dimension", "card")),
}


def trace_in(name: str, columns: Sequence[str]) -> Trace | None:
    """How a card's rows are told in a table; None if it holds nothing of a card.

    Args:
        columns: the table's.
    """
    if name in TRACES:
        return TRACES[name]
    if CARD_COLUMN in columns:
        return TokenTrace()
    return AlertTrace() if ALERT_ID in columns else None
