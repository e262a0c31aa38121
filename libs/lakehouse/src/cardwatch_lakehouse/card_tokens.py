"""All tokens of a card: after a rotation of token keys it has one by each key (docs/token-keys.md).

Two tokens are one card where ``silver.transactions`` has a transaction with both, which is written so while both keys
are in use. A card without a transaction in that time has tokens that nothing connects.
"""

from collections.abc import Collection
from typing import Any, Final

import pyarrow.dataset as ds

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS

_TOKEN: Final = "card_token"  # noqa: S105 - a column
_OTHER: Final = "other_card_token"


def tokens_of_cards(catalog: Catalog, tokens: Collection[str]) -> list[str]:
    """The tokens and all others of the same cards, in ascending order.

    Raises:
        ConfigurationError: there are no tables.
    """
    found, new = set(tokens), set(tokens)
    while new:
        both = {token for pair in pairs_of_tokens(catalog, new) for token in pair}
        new, found = both - found, found | both
    return sorted(found)


def pairs_of_tokens(catalog: Catalog, tokens: Collection[str]) -> set[tuple[str, str]]:
    """The pairs of tokens of one card in which one of these tokens is; each pair in ascending order.

    Raises:
        ConfigurationError: there are no tables.
    """
    if SILVER_TRANSACTIONS.name not in catalog.names():
        return set()
    silver = catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_dataset()
    if _OTHER not in silver.schema.names:  # written by a version before rotations
        return set()
    wanted = sorted(tokens)
    of_these = ds.field(_TOKEN).isin(wanted) | ds.field(_OTHER).isin(wanted)
    rows: Any = silver.to_table(columns=[_TOKEN, _OTHER], filter=of_these & ds.field(_OTHER).is_valid())
    pairs = zip(rows[_TOKEN].to_pylist(), rows[_OTHER].to_pylist(), strict=True)
    return {(min(pair), max(pair)) for pair in pairs}
