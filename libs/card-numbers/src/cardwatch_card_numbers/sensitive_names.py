"""Names of fields whose values are never kept: security codes, PINs and track data (PCI DSS 4.0, requirement 3.3.1)."""

import re
from functools import lru_cache
from typing import Final

from cardwatch_card_numbers.folding import fold

HIDDEN_VALUE: Final = "****"
"""What is kept in place of such a value."""

CARD_NUMBER_NAMES: Final = frozenset({"card_number", "cardnumber", "primary_account_number"})
"""Fields in which every digit is masked: mistyped, their value is still nearly a card number."""

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_CODES: Final = r"cvv|cvc|csc|cav|cvn|cvd|cve|cvp|ccv|icvv|dcvv|dcvc|pvv"
_NOT_IN_WORD: Final = re.compile(r"[^a-z0-9]+")
_SENSITIVE: Final = re.compile(
    rf"(?:^|_)(?:card|cc)?(?:{_CODES})(?:_?[0-9])?(?:code|number|no|num|value|val|data)?(?:_|$)|(?:^|_)cv_?2(?:_|$)"
    r"|(?:^|_)(?:card_?)?security_?codes?(?:_|$)|(?:^|_)card_?(?:verification|validation)"
    r"|(?:^|_)(?:verification|validation)_?(?:value|code)(?:_|$)"
    r"|(?:^|_)track_?[123](?:_|$)|(?:^|_)track_?(?:[123]_?)?(?:data|equivalent)(?:_|$)|(?:^|_)mag(?:netic)?_?stripe"
    r"|(?:^|_)pin_?(?:block|offset|data|value)(?:_|$)|^(?:(?:card|cc)_?)?(?:cid|pin)(?:_?[0-9])?$"
    r"|(?:^|_)(?:encrypted|enc|user|new|old|debit)_?pin$|(?:^|_)card_?code$"
)


@lru_cache(maxsize=4096)
def is_sensitive_name(name: str) -> bool:
    """Whether a field of this name, in any of the usual spellings, holds a security code, a PIN or track data."""
    return len(name) <= 200 and any(_SENSITIVE.search(words) for words in (_words(name), _lower_words(name)))


@lru_cache(maxsize=4096)
def is_card_number_name(name: str) -> bool:
    """Whether a field of this name holds a card number."""
    return len(name) <= 200 and _words(name) in CARD_NUMBER_NAMES


def _words(name: str) -> str:
    """``Track2Data`` as ``track_2_data``."""
    return "_".join(_WORD.findall(_folded(name))).lower()


def _lower_words(name: str) -> str:
    """The same where capitals say nothing: ``cVv`` as ``cvv``."""
    return _NOT_IN_WORD.sub("_", _folded(name).lower())


def _folded(name: str) -> str:
    """The name as people read it: full-width letters as ASCII, without invisible characters."""
    return fold(name).text.replace("\x00", "")
