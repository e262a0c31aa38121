"""The derived fields that the enricher would add to transactions, from the same tables and by the same arithmetic."""

from collections.abc import Collection
from typing import Any, Final

import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_reference.derived import Derivation, day_of_week, hour_of_day

# Derived field → the fields of a transaction that it is computed from.
NEEDS: Final[dict[str, frozenset[str]]] = {
    "base_amount_minor": frozenset({"amount_minor", "currency"}),
    "merchant_category_group": frozenset({"merchant_category_code"}),
    "bin_country": frozenset({"card_bin"}),
    "hour_of_day": frozenset({"event_time"}),
    "day_of_week": frozenset({"event_time"}),
}


def enrich(transactions: pl.DataFrame, fields: Collection[str], derivation: Derivation) -> pl.DataFrame:
    """The transactions with those derived fields that are in ``fields``.

    Raises:
        ConfigurationError: a currency has no exchange rate, or a merchant category code does not have four digits; the
            enricher would dead-letter such a transaction.
    """
    found = transactions
    if "base_amount_minor" in fields:
        found = found.with_columns(base_amount_minor=_base_amounts(found, derivation))
    if "merchant_category_group" in fields:
        found = _looked_up(
            found, "merchant_category_code", "merchant_category_group", derivation.merchant_category_group
        )
    if "bin_country" in fields:
        found = _looked_up(found, "card_bin", "bin_country", derivation.bin_country)
    return found.with_columns(
        *(
            of(pl.col("event_time")).cast(pl.Int32).alias(name)
            for name, of in (("hour_of_day", hour_of_day), ("day_of_week", day_of_week))
            if name in fields
        )
    )


def _base_amounts(transactions: pl.DataFrame, derivation: Derivation) -> pl.Expr:
    result = pl.lit(None, pl.Int64)
    for currency in transactions["currency"].unique().to_list():
        try:
            factor, divisor = derivation.conversion(currency)
        except KeyError as error:
            raise ConfigurationError(
                f"there is no exchange rate for the currency {currency!r}; the enricher would dead-letter it"
            ) from error
        # 128 bits hold the largest amount times the largest rate.
        amount = pl.col("amount_minor").cast(pl.Int128)
        base = (amount * pl.lit(factor, pl.Int128) + pl.lit(divisor, pl.Int128)) // pl.lit(2 * divisor, pl.Int128)
        result = pl.when(pl.col("currency") == currency).then(base.cast(pl.Int64)).otherwise(result)
    return result


def _looked_up(transactions: pl.DataFrame, field: str, name: str, look_up: Any) -> pl.DataFrame:
    """The transactions with a column ``name``: the distinct values are looked up and joined."""
    values = transactions[field].unique().to_list()
    try:
        looked_up = [look_up(value) for value in values]
    except KeyError as error:
        raise ConfigurationError(
            f"{field}: expected four digits, got {error.args[0]!r}; the enricher would dead-letter the transaction"
        ) from error
    table = pl.DataFrame({field: values, name: looked_up}, schema={field: pl.String, name: pl.String})
    return transactions.join(table, on=field, how="left", maintain_order="left")
