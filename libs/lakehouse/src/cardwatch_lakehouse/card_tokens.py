"""All tokens of a card: after a rotation of token keys it has one by each key (docs/token-keys.md).

Two tokens are one card where ``silver.transactions`` has a transaction with both, which is written so while both keys
are in use. A card without a transaction in that time has tokens that nothing connects.

Whoever may send transactions can send one that connects the tokens of two cards. A card has one token by each key, so
two connected tokens by one key are of two cards. Where that matters, ``find_contradictions`` finds them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

import pyarrow.dataset as ds

from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS

_TOKEN: Final = "card_token"  # noqa: S105 - a column
_OTHER: Final = "other_card_token"
_KEY_IDS: Final = {_TOKEN: "card_token_key_id", _OTHER: "other_card_token_key_id"}


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


def find_contradictions(catalog: Catalog, cards: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Which tokens silver connects with those of another card: two of the tokens are by one key.

    Args:
        cards: by a token of a card, all tokens that silver connects with it.

    Returns:
        By the token of such a card, a sentence.

    Raises:
        ConfigurationError: there are no tables.
    """
    several = {card: sorted({card, *tokens}) for card, tokens in cards.items() if {*tokens} - {card}}
    keys = _keys_of_tokens(catalog, {token for tokens in several.values() for token in tokens})
    found: dict[str, str] = {}
    for card, tokens in several.items():
        used = Counter(key for token in tokens for key in keys.get(token, ()))
        twice = next((key for key in sorted(used) if used[key] > 1), None)
        if twice is not None:
            same = " and ".join([token for token in tokens if twice in keys.get(token, ())][:2])
            found[card] = (
                f"silver.transactions connects {card} with {len(tokens) - 1} other tokens, but {same} are both by the "
                f"key {twice}, so they are of two cards: a message with a wrong other_card_token connects them"
            )
    return found


def pairs_of_tokens(catalog: Catalog, tokens: Collection[str]) -> set[tuple[str, str]]:
    """The pairs of tokens of one card in which one of these tokens is; each pair in ascending order.

    Raises:
        ConfigurationError: there are no tables.
    """
    silver = _silver_with_others(catalog)
    if silver is None:
        return set()
    wanted = sorted(tokens)
    of_these = ds.field(_TOKEN).isin(wanted) | ds.field(_OTHER).isin(wanted)
    rows: Any = silver.to_table(columns=[_TOKEN, _OTHER], filter=of_these & ds.field(_OTHER).is_valid())
    pairs = zip(rows[_TOKEN].to_pylist(), rows[_OTHER].to_pylist(), strict=True)
    return {(min(pair), max(pair)) for pair in pairs}


def _keys_of_tokens(catalog: Catalog, tokens: Collection[str]) -> Mapping[str, set[str]]:
    """The ids of the keys by which silver has each of these tokens."""
    silver = _silver_with_others(catalog)
    found: dict[str, set[str]] = {}
    for column, key_column in _KEY_IDS.items() if silver is not None and tokens else ():
        rows = silver.to_table(columns=[column, key_column], filter=ds.field(column).isin(sorted(tokens)))
        for row in rows.group_by([column, key_column]).aggregate([]).to_pylist():
            if row[key_column] is not None:
                found.setdefault(row[column], set()).add(row[key_column])
    return found


def _silver_with_others(catalog: Catalog) -> Any:
    """Silver as a dataset; None if there is none, or one that a version before rotations has written."""
    if SILVER_TRANSACTIONS.name not in catalog.names():
        return None
    silver = catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_dataset()
    return silver if _OTHER in silver.schema.names else None
