"""Tokenising at the edge: a card number in a JSON message becomes its token, BIN and last four digits at once.

Nothing is tokenised twice: Avro messages come with tokens, and pass as they are.
"""

from typing import Any, Final

from cardwatch_card_numbers.tokens import tokenise as tokenise_with
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record


class Tokeniser:
    """Tokenises with one key."""

    def __init__(self, key: bytes, key_id: str) -> None:
        """``key`` has at least 16 bytes; ``key_id`` is stored beside each token."""
        self._key: Final = key
        self._key_id: Final = key_id

    def __call__(self, card_number: Any) -> Record:
        """The four card fields of a transaction.

        Raises:
            RefusedError: it is not text (WRONG_TYPE) or no card number; the text quotes nothing of it.
        """
        if not isinstance(card_number, str):
            raise RefusedError(Reason.WRONG_TYPE, "card_number is not text; 13 to 19 digits as text would be right")
        try:
            identity = tokenise_with(card_number, self._key)
        except ValueError as error:
            raise RefusedError(
                Reason.INVALID_CARD_NUMBER,
                f"card_number has {len(card_number)} characters and is no card number; "
                "13 to 19 digits with a valid check digit would be right",
            ) from error
        return {**identity._asdict(), "card_token_key_id": self._key_id}
