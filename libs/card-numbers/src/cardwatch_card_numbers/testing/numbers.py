"""Card numbers for tests: published ones, and made-up ones."""

from random import Random
from typing import Final

from cardwatch_card_numbers.check_digits import luhn_valid

CARD_NUMBER: Final = "4111111111111111"
"""The card schemes' published test number."""

MASKED: Final = "*" * 16

ISSUED_NUMBERS: Final = {
    "Visa": CARD_NUMBER,
    "Visa of 13 digits": "4222222222222",
    "Visa of 19 digits": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, 2-series": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club": "30569309025904",
    "Diners Club of 16 digits": "3600666633334442",
    "JCB": "3530111333300000",
    "UnionPay": "6200000000000005",
    "UnionPay of 19 digits": "6205500000000000004",
    "Maestro": "6759649826438453",
    "Mir": "2200770212727079",
    "RuPay": "8172451111111118",
    "Troy": "9792030000000000",
    "Elo": "6362970000457013",
    "Hipercard": "6062826786276634",
    "Verve": "5060990580000217499",
    "Dankort": "5019717010103742",
}
"""Published test numbers of the card schemes, or made-up ones in their ranges."""


def make_card_number(draw: Random, prefix: str, length: int) -> str:
    """A made-up card number with this prefix, random digits and a valid check digit."""
    digits = prefix + "".join(draw.choices("0123456789", k=length - len(prefix) - 1))
    return next(digits + last for last in "0123456789" if luhn_valid(digits + last))
