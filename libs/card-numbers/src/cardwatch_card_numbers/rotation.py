"""The rotation of token keys: which of a card's two tokens is its token, by the transaction's event time.

    key k1      ├──────────────── its tokens are the cards' tokens ──────┤
    key k2                    ├─ its tokens are written beside them ─────┼──── its tokens are the cards' tokens ────▶
                              from when all enrichers have both keys     switch: an event time

The event time decides, not the clock of whoever looks: a replay gives each transaction the token that it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Each the token and the name of its key.
TOKEN: Final = ("card_token", "card_token_key_id")
OTHER_TOKEN: Final = ("other_card_token", "other_card_token_key_id")


@dataclass(frozen=True, slots=True)
class TokenRotation:
    """Which key's tokens are the cards' tokens.

    Attributes:
        key_id: the key before the switch, or the only one.
        next_key_id: the key from the switch on; empty without a rotation.
        switch_us: the event time of the switch, microseconds since 1970 UTC.
    """

    key_id: str
    next_key_id: str = ""
    switch_us: int = 0

    def key_id_at(self, event_us: int) -> str:
        """The key whose tokens are the cards' tokens at an event time (microseconds since 1970 UTC)."""
        return self.next_key_id if self.next_key_id and event_us >= self.switch_us else self.key_id

    def in_order(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """A transaction with its two tokens in order: the card's token first.

        A transaction with one token, or with tokens by other keys, stays as it is.

        Args:
            record: of ``transaction.avsc``.
        """
        (other, other_key_id), (_, key_id) = OTHER_TOKEN, TOKEN
        wanted = self.key_id_at(record["event_time"])
        if record.get(other) is None or record[other_key_id] != wanted or record[key_id] == wanted:
            return record
        exchanged = zip((*TOKEN, *OTHER_TOKEN), (*OTHER_TOKEN, *TOKEN), strict=True)
        return {**record, **{name: record[source] for name, source in exchanged}}
