"""How the rows of a card are found in each table, directly by its token or through its transactions and alerts."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from cardwatch_lakehouse.maintenance.message_ownership import Card, Match, match_messages
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
TRANSACTION_ID: Final = "transaction_id"
_IDS_PER_PATTERN: Final = 200


class CardRowMatcher(ABC):
    """Finds the rows of a card in one table."""

    columns: Sequence[str]
    place: tuple[str, ...] = ()  # columns of the position of a message that a row holds; empty if it holds none

    @abstractmethod
    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        """Which rows are the card's: an Arrow array of booleans."""

    def count(self, rows: pa.RecordBatch, card: Card) -> Counter[Match]:
        """How many rows are the card's, and how many are only kept, by reason."""
        number = pc.sum(self.mask(rows, card)).as_py() or 0
        return Counter({Match.COLUMN: number} if number else {})

    @abstractmethod
    def where(self, rows: Iterable[Mapping[str, Any]], card: Card, repeated: Collection[tuple[Any, ...]] = ()) -> str:
        """SQL that is true for the card's rows and no others.

        Args:
            rows: those that ``mask`` has found.
            repeated: positions that other rows of the table have, too; only for tables with messages.
        """


@dataclass(frozen=True)
class TokenMatcher(CardRowMatcher):
    """Matches a column that contains the token.

    Attributes:
        kind: column and value of the rows in which `column` contains a card; None if it always does.
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

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card, repeated: Collection[tuple[Any, ...]] = ()) -> str:
        kind = f" AND {self.kind[0]} = {quoted(self.kind[1])}" if self.kind else ""
        return f"({self.column} = {quoted(card.token)}{kind})"


@dataclass(frozen=True)
class AnyMatcher(CardRowMatcher):
    """Matches rows that any of several matchers matches."""

    matchers: tuple[CardRowMatcher, ...]

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(dict.fromkeys(column for matcher in self.matchers for column in matcher.columns))

    @property
    def place(self) -> tuple[str, ...]:  # type: ignore[override]
        return next((matcher.place for matcher in self.matchers if matcher.place), ())

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        first, *others = (matcher.mask(rows, card) for matcher in self.matchers)
        for other in others:
            first = pc.or_(first, other)
        return first

    def count(self, rows: pa.RecordBatch, card: Card) -> Counter[Match]:
        counts = super().count(rows, card)
        kept = (matcher.count(rows, card) for matcher in self.matchers)
        counts.update({match: number for one in kept for match, number in one.items() if not match.erased})
        return counts

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card, repeated: Collection[tuple[Any, ...]] = ()) -> str:
        found = list(rows)
        terms = (matcher.where(found, card, repeated) for matcher in self.matchers)
        return " OR ".join(term for term in terms if term)


@dataclass(frozen=True)
class AlertIdMatcher(CardRowMatcher):
    """Matches the ids of the card's alerts."""

    columns: Sequence[str] = (ALERT_ID,)

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        return pc.fill_null(pc.is_in(rows.column(ALERT_ID), pa.array(sorted(card.alerts), pa.string())), False)

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card, repeated: Collection[tuple[Any, ...]] = ()) -> str:
        return f"{ALERT_ID} IN ({', '.join(quoted(row[ALERT_ID]) for row in rows)})"


@dataclass(frozen=True)
class MessageMatcher(CardRowMatcher):
    """Matches messages as received by what they say themselves and by their position (``match_messages``).

    Attributes:
        place: the columns with the message's position, partition and offset last.
        content: the columns with its bytes.
        card_column: a column that says whose a row is; only rows where it is null are matched. Empty if there is none.
    """

    place: tuple[str, ...] = ("topic", "partition", "offset")
    content: tuple[str, ...] = ("key", "value")
    card_column: str = ""

    @property
    def columns(self) -> Sequence[str]:  # type: ignore[override]
        return (*self.place, *self.content, *((self.card_column,) if self.card_column else ()))

    def mask(self, rows: pa.RecordBatch, card: Card) -> Any:
        erased = [number for number, match in self.matches(rows, card).items() if match.erased]
        return pc.is_in(pa.array(range(rows.num_rows), pa.int64()), pa.array(erased, pa.int64()))

    def count(self, rows: pa.RecordBatch, card: Card) -> Counter[Match]:
        return Counter(self.matches(rows, card).values())

    def matches(self, rows: pa.RecordBatch, card: Card) -> dict[int, Match]:
        """The card's rows, and those that are kept though they contain its token or an id; by number in the batch."""
        candidates = self._candidates(rows, card)
        found = rows.filter(candidates).to_pylist()
        return match_messages(
            dict(zip(pc.indices_nonzero(candidates).to_pylist(), found, strict=True)), card, self.place
        )

    def _candidates(self, rows: pa.RecordBatch, card: Card) -> Any:
        """Which rows are worth decoding: all others can neither contain the token nor an id, nor be at a position."""
        found = _contains(rows.column("value"), _WIDE)
        # Avro that can be decoded has a card_token, and in other Avro no id is searched for.
        text = pc.invert(_contains(rows.column("value"), _FRAMED))
        for pattern in (_ESCAPED, *_patterns(card.transactions)):
            found = pc.or_(found, pc.and_(text, _contains(rows.column("value"), pattern)))
        for column in self.content:
            found = pc.or_(found, _contains(rows.column(column), re.escape(card.token)))
        offsets = {offset for positions in (card.messages, card.refused) for *_, offset in positions}
        found = pc.or_(found, pc.fill_null(pc.is_in(rows.column("offset"), pa.array(offsets, pa.int64())), False))
        return pc.and_(found, pc.is_null(rows.column(self.card_column))) if self.card_column else found

    def where(self, rows: Iterable[Mapping[str, Any]], card: Card, repeated: Collection[tuple[Any, ...]] = ()) -> str:
        offsets: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        terms: list[str] = []
        *others, last = self.place
        for row in rows:
            place = tuple(row[name] for name in self.place)
            if self.card_column and row[self.card_column] is not None:
                continue
            if place in repeated or None in place:
                terms.append(self._exactly(row))
            else:
                offsets[place[:-1]].add(row[last])
        for values, numbers in offsets.items():
            same = [f'"{name}" = {quoted(value)}' for name, value in zip(others, values, strict=True)]
            terms.append(f'({" AND ".join(same)} AND "{last}" IN ({", ".join(map(str, sorted(numbers)))}))')
        if self.card_column and terms:
            return f"({self.card_column} IS NULL AND ({' OR '.join(terms)}))"
        return " OR ".join(terms)

    def _exactly(self, row: Mapping[str, Any]) -> str:
        """SQL for a row whose position other rows have, too: by a digest of its bytes, which the log then contains."""
        position = (_same(f'"{name}"', row[name]) for name in self.place)
        content = (
            _same(f'md5("{name}")', value if value is None else hashlib.md5(value, usedforsecurity=False).hexdigest())
            for name, value in ((name, row[name]) for name in self.content)
        )
        return f"({' AND '.join([*position, *content])})"


# JSON with escapes, or in UTF-16 or UTF-32: its bytes need not contain the text that it means.
_ESCAPED: Final = r"\\"
_WIDE: Final = r"\A(?:\xff\xfe|\xfe\xff|\x00\x00\xfe\xff|[^\x00]\x00|\x00[^\x00]\x00|\x00\x00\x00[^\x00]\x00\x00\x00)"
# The frame of Avro with an id of a schema below 2^24.
_FRAMED: Final = r"\A\x00\x00"


def _contains(column: Any, pattern: str) -> Any:
    return pc.fill_null(pc.match_substring_regex(column.cast(pa.binary()), pattern), False)


def _same(column: str, value: Any) -> str:
    return f"{column} IS NULL" if value is None else f"{column} = {quoted(value)}"


def _patterns(ids: Collection[str]) -> list[str]:
    wanted = sorted(ids)
    return [
        "|".join(re.escape(text) for text in wanted[first : first + _IDS_PER_PATTERN])
        for first in range(0, len(wanted), _IDS_PER_PATTERN)
    ]


def quoted(value: Any) -> str:
    """A value as an SQL literal."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


MATCHERS: Final[Mapping[str, CardRowMatcher]] = {
    BRONZE_TRANSACTIONS.name: MessageMatcher(),
    BRONZE_LATE.name: AnyMatcher((TokenMatcher(), MessageMatcher(("partition", "offset"), ("value",), CARD_COLUMN))),
    BRONZE_QUARANTINE.name: MessageMatcher(),
    GOLD_ALERTS.name: AnyMatcher((TokenMatcher(also=(ALERT_ID,)), TokenMatcher("key", ("scope", "card")))),
    SILVER_TRANSACTIONS.name: TokenMatcher(also=(TRANSACTION_ID, *RAW_POSITION)),
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
