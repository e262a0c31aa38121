"""Whose a message is: decided by what it says itself, then by its position, then by its transaction id."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

from cardwatch_lakehouse.maintenance.message_content import MessageContent, MessageReader

Position = tuple[str, int, int]
"""Topic, partition and offset."""


class Match(StrEnum):
    """Why a row is the card's, or why it is kept though it contains the token or an id of the card."""

    COLUMN = "by a column with the token or an alert of the card"
    TOKEN = "by the card_token in the message"  # noqa: S105 - no secret
    SILVER = "by their position in silver.transactions"
    DEAD_LETTER = "by the position of a dead letter of the card"
    TRANSACTION_ID = "by their transaction_id alone"
    NAMED = "by the token in the key or another field of a message without card_token"
    UNDECODED = "not decodable, by the token in their bytes or key"
    UNDECODED_ID = "not decodable, by the field transaction_id in their text"
    OTHERS = "of other cards, or of several, which contain the token"
    SHARED_ID = "without a card, with a transaction_id that another card has, too"

    @property
    def erased(self) -> bool:
        """Whether the row is the card's."""
        return self not in (Match.OTHERS, Match.SHARED_ID)

    @property
    def inferred(self) -> bool:
        """Whether neither the message's card_token nor silver nor a dead letter says that the row is the card's."""
        return self in (Match.TRANSACTION_ID, Match.NAMED, Match.UNDECODED, Match.UNDECODED_ID)


def _nobody(positions: Collection[Position]) -> set[Position]:
    return set()


@dataclass(slots=True)
class Card:
    """A card and what belongs to it.

    Attributes:
        transactions: ids of its transactions.
        shared: those of them that another card's transactions have, too.
        messages: positions of the messages of its transactions, with the ids that silver has for them.
        refused: positions of its messages that were refused, with the ids that the dead letters have for them.
        alerts: ids of its alerts.
        read: decodes messages.
        positions_of_others: which of some positions silver and the dead letters have for other cards.
    """

    token: str
    transactions: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    messages: dict[Position, set[str]] = field(default_factory=dict)
    refused: dict[Position, set[str]] = field(default_factory=dict)
    alerts: set[str] = field(default_factory=set)
    read: MessageReader = field(default_factory=MessageReader)
    positions_of_others: Callable[[Collection[Position]], set[Position]] = _nobody

    def add_silver(self, rows: pa.RecordBatch, position_columns: Collection[str], id_column: str) -> None:
        """Add what rows of this card in silver refer to."""
        ids = rows.column(id_column).to_pylist()
        self.transactions.update(one for one in ids if one is not None)
        for position, one in zip(_positions(rows, position_columns), ids, strict=True):
            if None not in position:
                self.messages.setdefault(position, set()).update(() if one is None else (one,))

    def add_dead_letters(self, rows: pa.RecordBatch, position_columns: Collection[str]) -> None:
        """Add the positions of this card's rows in bronze.quarantine, and the ids that these messages have."""
        for position, value in zip(_positions(rows, position_columns), rows.column("value").to_pylist(), strict=True):
            if None not in position:
                one = self.read(value).transaction_id
                self.refused.setdefault(position, set()).update(() if one is None else (one,))


def _positions(rows: pa.RecordBatch, columns: Collection[str]) -> Any:
    return zip(*(rows.column(name).to_pylist() for name in columns), strict=True)


def match_messages(rows: Mapping[int, Mapping[str, Any]], card: Card, place: Collection[str]) -> dict[int, Match]:
    """The rows of messages that are the card's or are only kept, with the reason.

    Args:
        rows: rows by any number, with the columns ``place``, ``value`` and perhaps ``key``.
        place: the columns of the position; without the topic, positions say nothing.
    """
    has_topic: Final = "topic" in place
    matches: dict[int, Match] = {}
    unsure: dict[int, Position] = {}
    for number, row in rows.items():
        position = tuple(row[name] for name in place) if has_topic else None
        content = card.read(row["value"])
        match = _match(content, row.get("key"), position, card)
        if match is not None:
            matches[number] = match
            if position is not None and match not in (Match.TOKEN, Match.SILVER):
                unsure[number] = position
    if unsure:
        others = card.positions_of_others(set(unsure.values()))
        for number in [number for number, position in unsure.items() if position in others]:
            del matches[number]
    token = card.token.encode()
    for number, row in rows.items():
        if number not in matches and any(token in (row.get(name) or b"") for name in ("key", "value")):
            matches[number] = Match.OTHERS
    return matches


def _match(content: MessageContent, key: bytes | None, position: Any, card: Card) -> Match | None:
    decoded = content.undecoded is None
    # In bytes that cannot be decoded, an id of 32 hexadecimal digits looks like a token.
    tokens = content.tokens if decoded else content.tokens - card.transactions
    if tokens and card.token not in tokens:
        return None
    if decoded and tokens:
        # A message of several cards is not this card's to delete.
        return Match.TOKEN if len(tokens) == 1 else None
    for known, match in ((card.messages, Match.SILVER), (card.refused, Match.DEAD_LETTER)):
        # A topic that was deleted and created again has other messages at the same positions.
        ids = known.get(position)
        if ids is not None and (not ids or content.transaction_id is None or content.transaction_id in ids):
            return match
    if len(tokens) > 1:
        return None
    if content.names(card.token) or _names_in_key(key, card.token):
        return Match.NAMED if decoded else Match.UNDECODED
    if content.transaction_id in card.shared:
        return Match.SHARED_ID
    if content.transaction_id in card.transactions:
        return Match.TRANSACTION_ID if decoded else Match.UNDECODED_ID
    return None


def _names_in_key(key: bytes | None, token: str) -> bool:
    return key is not None and MessageContent(undecoded=key.decode("utf-8", "surrogateescape")).names(token)
