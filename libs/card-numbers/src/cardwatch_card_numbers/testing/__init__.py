"""The test cases for all code that finds or masks card numbers; each component runs them through its own interface.

Used by the tests of this package, of the enricher's acceptance and dead letters, of the notifier's dead letters, of
bronze and of trace context.

numbers    card numbers, published and made up
disguises  ways to write one, and texts that contain none
cases      messages and what masking makes of them
"""

from cardwatch_card_numbers.testing.cases import (
    ALL_CASES,
    BINARY_CASES,
    FIELD_CASES,
    JSON_CASES,
    MASKED,
    TEXT_CASES,
    MaskingCase,
    Structure,
)
from cardwatch_card_numbers.testing.disguises import (
    DISGUISES,
    ENCODED_DISGUISES,
    HARMLESS,
    KEPT_WHERE_EXEMPT,
    NUMERIC_IDENTIFIERS,
    REFUSED_IDENTIFIERS,
    REFUSED_WHERE_EXEMPT,
)
from cardwatch_card_numbers.testing.numbers import CARD_NUMBER, ISSUED_NUMBERS, make_card_number

__all__ = [
    "ALL_CASES",
    "BINARY_CASES",
    "CARD_NUMBER",
    "DISGUISES",
    "ENCODED_DISGUISES",
    "FIELD_CASES",
    "HARMLESS",
    "ISSUED_NUMBERS",
    "JSON_CASES",
    "KEPT_WHERE_EXEMPT",
    "MASKED",
    "NUMERIC_IDENTIFIERS",
    "REFUSED_IDENTIFIERS",
    "REFUSED_WHERE_EXEMPT",
    "TEXT_CASES",
    "MaskingCase",
    "Structure",
    "make_card_number",
]
