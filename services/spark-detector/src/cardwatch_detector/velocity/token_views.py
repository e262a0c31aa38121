"""The velocity query during a rotation of token keys: twice, with each card's tokens by one key and by the other.

    silver           ──k1──────┬──k1 and k2──────────────────────────────▶
    view of k1       ───────────────────────────────┤ alerts up to the switch
    view of k2                 └───── its state fills ├──────────────────▶ alerts from the switch on
                               ◀── ≥ the horizon ──▶ switch (an event time)

In a view a card has one token, whatever the transaction's own is, so that all windows, suppressions, distinct counts of
cards and profiles reach across the switch. Each transaction's alerts are published by one view, the one of its own key,
so that their set is that of a detector without a rotation (decision 0032).
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from cardwatch_card_numbers.rotation import OTHER_TOKEN, TOKEN, TokenRotation
from cardwatch_contracts.wire import Record
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

TOKEN_FIELDS: Final = (*TOKEN, *OTHER_TOKEN)
"""What a view has to read of a silver message."""

_EVENT_TIME: Final = "event_time"


@dataclass(frozen=True, slots=True)
class TokenView:
    """Silver with the cards' tokens by one of the two keys of a rotation.

    Attributes:
        rotation: the rotation, which has a next key.
        is_next: whether the tokens are those by the next key.
    """

    rotation: TokenRotation
    is_next: bool

    @property
    def query_suffix(self) -> str:
        """What tells the query's name from that of the other view."""
        return "-next" if self.is_next else ""

    @property
    def checkpoint_key_id(self) -> str:
        """The key whose name is in the checkpoint's path."""
        return self.rotation.next_key_id if self.is_next else self.rotation.key_id

    def record_in_view(self, record: Record) -> Record:
        """A silver record with its card's token in this view. A transaction with one token has it in both views."""
        (token, key_id), (other, other_key_id) = TOKEN, OTHER_TOKEN
        has_two = record.get(other) is not None
        if has_two and self._takes_other(record[key_id], record[other_key_id]):
            return {**record, token: record[other]}
        return record

    def transaction_in_view(self, transaction: Column) -> Column:
        """The same for Spark: a struct with TOKEN_FIELDS."""
        (token, key_id), (other, other_key_id) = TOKEN, OTHER_TOKEN
        takes_other = (
            transaction[other_key_id] == self.rotation.next_key_id
            if self.is_next
            else transaction[key_id] == self.rotation.next_key_id
        )
        in_view = F.when(takes_other & transaction[other].isNotNull(), transaction[other])
        return transaction.withField(token, in_view.otherwise(transaction[token]))

    def publishes(self, event_us: int) -> bool:
        """Whether the alerts of a transaction with this event time (microseconds) are published by this view."""
        return (event_us >= self.rotation.switch_us) is self.is_next

    def published(self, results: DataFrame) -> DataFrame:
        """What this view publishes of rows with the column ``event_time`` (microseconds); all where that is null."""
        event_time = F.col(_EVENT_TIME)
        own = (event_time >= self.rotation.switch_us) == F.lit(self.is_next)
        return results.where(event_time.isNull() | own)

    def _takes_other(self, key_id: str, other_key_id: str) -> bool:
        return (other_key_id if self.is_next else key_id) == self.rotation.next_key_id


def views_of(rotation: TokenRotation) -> tuple[TokenView | None, ...]:
    """The views that a detector runs a query for; None for silver as it is, where there is no rotation."""
    if not rotation.next_key_id:
        return (None,)
    return TokenView(rotation, is_next=False), TokenView(rotation, is_next=True)


def checkpoint_name(query: str, key_id: str) -> str:
    """The name of the checkpoint's directory of a query that was begun as the view of a next key."""
    return f"{query}-{quote(key_id, safe='')}"
