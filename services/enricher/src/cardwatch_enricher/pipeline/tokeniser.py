"""A card number in a JSON message becomes its token, BIN and last four digits before anything else reads it.

Avro messages arrive with tokens and are left as they are.
"""

from collections.abc import Sequence
from typing import Any, Final

from cardwatch_card_numbers.rotation import OTHER_TOKEN
from cardwatch_card_numbers.tokens import tokenise as tokenise_with
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record


class Tokeniser:
    """Tokenises card numbers with one key, or during a rotation with two."""

    def __init__(self, keys: Sequence[tuple[bytes, str]]) -> None:
        """
        Args:
            keys: one or two keys of 16 bytes or more, each with its name, which is stored beside each token.
        """
        (self._key, self._key_id), *others = keys
        self._others: Final = others

    def __call__(self, card_number: Any) -> Record:
        """The card fields of a transaction; during a rotation with the token by the second key as the other one.

        Raises:
            RefusedError: the value is not text (WRONG_TYPE) or not a card number; the message quotes nothing of it.
        """
        if not isinstance(card_number, str):
            raise RefusedError(Reason.WRONG_TYPE, "card_number: expected 13 to 19 digits as text, got another type")
        try:
            identity = tokenise_with(card_number, self._key)
        except ValueError as error:
            raise RefusedError(
                Reason.INVALID_CARD_NUMBER,
                "card_number: expected 13 to 19 digits with a valid check digit, "
                f"got {len(card_number)} characters that are not",
            ) from error
        record = {**identity._asdict(), "card_token_key_id": self._key_id}
        for key, key_id in self._others:
            record |= dict(zip(OTHER_TOKEN, (tokenise_with(card_number, key).card_token, key_id), strict=True))
        return record
