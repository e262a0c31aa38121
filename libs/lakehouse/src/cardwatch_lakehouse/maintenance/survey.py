"""What erasing a card would delete, counted before anything is changed, and whether that can be right."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_lakehouse.maintenance.message_ownership import Match
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, BRONZE_TRANSACTIONS

_MAX_EXAMPLES: Final = 5


@dataclass(slots=True)
class Survey:
    """What would be erased.

    Attributes:
        matches: number of rows by table and by the reason why they are the card's, or are kept.
        alerts_of_others: number of other cards' alerts from whose evidence transaction ids are removed.
        known_messages: number of messages that silver and the dead letters have of the card, old files included.
        unknown_messages: topic, partition and offset of those messages of bronze.transactions and bronze.quarantine
            that would be deleted though neither silver nor a dead letter with the card's token has them.
    """

    matches: dict[str, Counter[Match]] = field(default_factory=dict)
    alerts_of_others: int = 0
    known_messages: int = 0
    unknown_messages: list[str] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows that would be deleted, by table; tables without any are left out."""
        counts = {name: sum(n for match, n in of.items() if match.erased) for name, of in self.matches.items()}
        return {name: number for name, number in counts.items() if number}

    @property
    def kept(self) -> dict[str, Counter[Match]]:
        """Number of rows that are kept though they contain the token or an id of the card, by table and reason."""
        kept = {name: Counter({m: n for m, n in of.items() if not m.erased}) for name, of in self.matches.items()}
        return {name: of for name, of in kept.items() if of}

    def check(self) -> None:
        """Refuse what cannot be explained by the card's own transactions and dead letters.

        Raises:
            ConfigurationError: bronze.transactions would lose more messages than silver and the dead letters have of
                the card, or messages that only a transaction id or the token somewhere in them connects with it; or
                bronze.quarantine would lose messages that only a transaction id connects with it.
        """
        bronze = self.matches.get(BRONZE_TRANSACTIONS.name, Counter())
        letters = self.matches.get(BRONZE_QUARANTINE.name, Counter())
        inferred = sum(number for match, number in bronze.items() if match.inferred)
        inferred += letters[Match.TRANSACTION_ID] + letters[Match.UNDECODED_ID]
        total = self.rows.get(BRONZE_TRANSACTIONS.name, 0)
        reasons = []
        if total > self.known_messages:
            reasons.append(
                f"bronze.transactions would lose {total} messages, but silver.transactions and bronze.quarantine have "
                f"{self.known_messages} of this card"
            )
        if inferred:
            reasons.append(
                f"of the messages in bronze.transactions and bronze.quarantine, neither a card_token nor a position "
                f"proves {inferred} to be this card's"
            )
        if not reasons:
            return
        examples = ", ".join(self.unknown_messages[:_MAX_EXAMPLES])
        if len(self.unknown_messages) > _MAX_EXAMPLES:
            examples += f" and {len(self.unknown_messages) - _MAX_EXAMPLES} more"
        raise ConfigurationError(
            f"nothing was changed: {'; '.join(reasons)}. They may be repeated messages or another card's: look at "
            f"them, then repeat with --allow-unknown-messages. Unknown (topic/partition/offset): {examples}"
        )
