"""The enricher's lookups, implemented a second time for the oracle: in SQL, from the same reference tables."""

from importlib.resources import files
from pathlib import Path
from typing import Final, cast

import duckdb
import pyarrow as pa

_LOOKED_UP: Final = """
    WITH groups AS (SELECT * FROM read_csv($groups, all_varchar = true)),
         bins AS (SELECT * FROM read_csv($bins, all_varchar = true)),
         known AS (
             SELECT card_bin, arg_max(country, length(bin)) AS bin_country
             FROM (SELECT DISTINCT card_bin FROM transactions) JOIN bins ON starts_with(card_bin, bin)
             GROUP BY card_bin)
    SELECT t.*, coalesce(g."group", 'other') AS merchant_category_group, known.bin_country
    FROM transactions AS t
    LEFT JOIN groups AS g ON t.merchant_category_code BETWEEN g."first" AND g."last"
    LEFT JOIN known ON t.card_bin = known.card_bin
"""


def with_lookups(transactions: pa.Table) -> pa.Table:
    """The transactions with ``merchant_category_group`` and ``bin_country`` (null where the BIN is unknown)."""
    tables = {
        "groups": str(enricher_table("merchant_category_groups.csv")),
        "bins": str(enricher_table("bin_countries.csv")),
    }
    with duckdb.connect(":memory:") as connection:
        connection.register("transactions", transactions)
        return cast(pa.Table, connection.sql(_LOOKED_UP, params=tables).to_arrow_table())


def enricher_table(name: str) -> Path:
    """The path of a reference table that the enricher uses by default."""
    return Path(str(files("cardwatch_reference") / "data" / name))
