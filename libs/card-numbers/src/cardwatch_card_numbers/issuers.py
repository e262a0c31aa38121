"""Which prefixes card numbers begin with, and how many digits they have: the ranges of the card schemes.

Sources: the table "Issuer identification number" of https://en.wikipedia.org/wiki/Payment_card_number, which collects
what the schemes publish (ISO/IEC 7812-1 itself assigns first digits only), and the ranges of
https://github.com/braintree/credit-card-type. Neighbouring ranges of one scheme are written as one, and where the
sources differ, the wider range counts: a range too many refuses some identifiers, one too few lets card numbers pass.
"""

from dataclasses import dataclass
from typing import Final

PREFIX_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class IssuerRange:
    """Card numbers that one scheme issues.

    Attributes:
        scheme: the scheme's name.
        first: the first prefix, of one to six digits.
        last: the last prefix, of as many digits.
        lengths: how many digits such a card number has.
    """

    scheme: str
    first: str
    last: str
    lengths: tuple[int, ...]


def _ranges(scheme: str, prefixes: str, *lengths: int) -> list[IssuerRange]:
    bounds = [prefix.split("-") for prefix in prefixes.split()]
    return [IssuerRange(scheme, bound[0], bound[-1], lengths) for bound in bounds]


ISSUER_RANGES: Final = (
    *_ranges("Visa", "4", 16, 18, 19),
    *_ranges("Mastercard", "51-55 2221-2720", 16),
    *_ranges("American Express", "34 37", 15),
    *_ranges("Discover", "6011 644-649 65", 16, 17, 18, 19),
    *_ranges("Diners Club", "300-305 3095 36 38 39", 14, 16, 17, 18, 19),
    *_ranges("JCB", "3528-3589", 16, 17, 18, 19),
    *_ranges("JCB", "2131 1800", 15),
    *_ranges("UnionPay", "62", 14, 15, 16, 17, 18, 19),
    *_ranges("UnionPay", "8100-8171", 16, 17, 18, 19),
    *_ranges("Maestro", "5018 5020 5038 5893 6304 6759 6761-6763", 13, 14, 15, 16, 17, 18, 19),
    *_ranges("Maestro", "50 56-59 60 61 63 66-69", 16, 18, 19),
    *_ranges("Mir", "2200-2204", 16, 17, 18, 19),
    *_ranges("RuPay", "353 356 508 60 65 81 82", 16),
    *_ranges("Troy", "9792", 16),
    *_ranges("Elo", "401178 401179 431274 438935 451416 457393 457631 457632 504175 506699-506778 509", 16),
    *_ranges("Elo", "627780 636297 636368 6500-6505 6507-6509 6516 6550", 16),
    *_ranges("Hipercard", "384100 384140 384160 606282 637095 637568 637599 637609 637612", 16, 19),
    *_ranges("Verve", "506099-506198 507865-507964 650002-650027", 16, 18, 19),
    *_ranges("Dankort", "5019 4571", 16),
    *_ranges("InstaPayment", "637-639", 16),
    *_ranges("InterPayment", "636", 16, 17, 18, 19),
    *_ranges("UkrCard", "6040", 16, 17, 18, 19),
    *_ranges("BORICA", "2205", 16),
    *_ranges("Humo", "9860", 16),
    *_ranges("Uzcard", "8600", 16),
    *_ranges("Napas", "9704", 16, 19),
    *_ranges("LankaPay", "357111", 16),
)

WHOLE_NUMBER_LENGTHS: Final = {"4": 13}
"""Visa's 13 digits, which are hardly issued any more, count only where no other digit touches them: within a longer
number they are the most frequent false alarm (see docs/decisions/0029-card-number-scanner.md)."""


def _by_prefix() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for scheme in ISSUER_RANGES:
        # A longer prefix counts for the four digits that it begins with.
        first = int(scheme.first[:PREFIX_DIGITS].ljust(PREFIX_DIGITS, "0"))
        last = int(scheme.last[:PREFIX_DIGITS].ljust(PREFIX_DIGITS, "9"))
        for prefix in range(first, last + 1):
            found.setdefault(f"{prefix:0{PREFIX_DIGITS}d}", set()).update(scheme.lengths)
    return {prefix: tuple(sorted(lengths)) for prefix, lengths in found.items()}


LENGTHS_BY_PREFIX: Final = _by_prefix()
"""How many digits card numbers have, by their first four digits."""
