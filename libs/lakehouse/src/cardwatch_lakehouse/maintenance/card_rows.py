"""How the rows of a card are found in each table, directly by its token or through its transactions and alerts."""

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

# The library's type stubs do not allow scalars next to arrays.
pc: Any = pyarrow.compute

CARD_COLUMN: Final = "card_token"
ALERT_ID: Final = "alert_id"
RAW_POSITION: Final = ("raw_topic", "raw_partition", "raw_offset")
_TRANSACTION_ID: Final = "transaction_id"
_IDS_PER_PATTERN: Final = 200


@dataclass(slots=True)
class Card:
    """A card and what belongs to it.

    Attributes:
        transactions: ids of its transactions.
        messages: positions of the raw messages of its transactions: topic, partition and offset.
        alerts: ids of its alerts.
    """

    token: str
    transactions: set[str] = field(default_factory=set)
    messages: set[tuple[str, int, int]] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)

    def add_rows(self, name: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Add what rows of this card in silver or gold.alerts refer to."""
        frame: Any = rows
        if name == SILVER_TRANSACTIONS.name:
            self.transactions.update(frame.column(_TRANSACTION_ID).to_pylist())
            self.messages.update(zip(*(frame.column(column).to_pylist() for column in RAW_POSITION), strict=True))
        elif name == GOLD_ALERTS.name:
            self.alerts.update(frame.column(ALERT_ID).to_pylist())


class CardRowMatcher(ABC):
    """Finds the rows of a card in one table."""

    columns: Sequence[str]

    @abstractmethod
    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        """Which rows are the card's: an Arrow array of booleans."""

    @abstractmethod
    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        """SQL that is true for the card's rows; `rows` are those that ``mask`` has found."""


@dataclass(frozen=True)
class TokenMatcher(CardRowMatcher):
    """Matches a column that contains the token.

    Attributes:
        kind: column and value that tell that `column` contains a card; None if it always does.
    """

    column: str = CARD_COLUMN
    kind: tuple[str, str] | None = None
    also: tuple[str, ...] = ()  # further columns to read

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
class AnyMatcher(CardRowMatcher):
    """Matches rows that any of several matchers matches."""

    matchers: tuple[CardRowMatcher, ...]

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(dict.fromkeys(column for matcher in self.matchers for column in matcher.columns))

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        first, *others = (matcher.mask(rows, card) for matcher in self.matchers)
        for other in others:
            first = pc.or_(first, other)
        return first

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        found = list(rows)
        return " OR ".join(matcher.where(found, card) for matcher in self.matchers)


@dataclass(frozen=True)
class AlertIdMatcher(CardRowMatcher):
    """Matches the ids of the card's alerts."""

    columns: Sequence[str] = (ALERT_ID,)

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        return pc.fill_null(pc.is_in(rows.column(ALERT_ID), pa.array(sorted(card.alerts), pa.string())), False)

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card) -> str:
        return f"{ALERT_ID} IN ({', '.join(quoted(row[ALERT_ID]) for row in rows)})"


@dataclass(frozen=True)
class MessageMatcher(CardRowMatcher):
    """Matches messages as received: the token or the id of one of the transactions is somewhere in the bytes, or the
    message is one that a transaction of silver came from.

    Attributes:
        place: the columns with the message's position, partition and offset last.
        raw: whether the messages are those that silver has the positions of.
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
                matches = pc.match_substring_regex(rows.column(column).cast(pa.binary()), pattern)
                found = pc.or_(found, pc.fill_null(matches, False))
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
        "|".join(re.escape(text) for text in wanted[first : first + _IDS_PER_PATTERN])
        for first in range(0, len(wanted), _IDS_PER_PATTERN)
    ]


def quoted(value: Any) -> str:
    """A value as an SQL literal."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


MATCHERS: Final[Mapping[str, CardRowMatcher]] = {
    BRONZE_TRANSACTIONS.name: MessageMatcher(raw=True),
    BRONZE_LATE.name: AnyMatcher((TokenMatcher(), MessageMatcher(("partition", "offset"), ("value",)))),
    BRONZE_QUARANTINE.name: MessageMatcher(),
    GOLD_ALERTS.name: AnyMatcher((TokenMatcher(also=(ALERT_ID,)), TokenMatcher("key", ("scope", "card")))),
    SILVER_TRANSACTIONS.name: TokenMatcher(also=(_TRANSACTION_ID, *RAW_POSITION)),
    GOLD_VELOCITY_5M.name: TokenMatcher("key", ("dimension", "card")),
}


def matcher_for(name: str, columns: Sequence[str]) -> CardRowMatcher | None:
    """The matcher for a table; None if its rows do not refer to cards.

    Args:
        columns: the columns of the table.
    """
    if name in MATCHERS:
        return MATCHERS[name]
    if CARD_COLUMN in columns:
        return TokenMatcher()
    return AlertIdMatcher() if ALERT_ID in columns else None
