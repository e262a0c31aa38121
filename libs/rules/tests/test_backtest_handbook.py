"""The backtest against velocity features that others published, on all of their transactions.

The Fraud Detection Handbook's authors computed number (NB) and mean amount (AVG) of each customer's transactions over
one and seven days with pandas, numbering transactions of the same second in row order; here those see each other.
"""

import os
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.parse import parse_rules

FOLDER: Final = Path(
    os.environ.get("CARDWATCH_HANDBOOK_DIR") or Path(__file__).resolve().parents[4] / "shared" / "data" / "handbook"
)
FILE: Final = FOLDER / "transactions_2018-04-01_2018-05-15.parquet"
TIED_ROWS: Final = 7

(RULE,) = parse_rules(
    """
rules:
  - id: features
    title: The published features of every transaction
    scope: card
    measures:
      nb1: {window: 1d, is: count(*)}
      avg1: {window: 1d, is: mean(base_amount_minor)}
      nb7: {window: 7d, is: count(*)}
      avg7: {window: 7d, is: mean(base_amount_minor)}
    when: nb1 >= 1
"""
)

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE.name} is not there, see CARDWATCH_HANDBOOK_DIR")


def test_all_published_features_but_for_the_ties() -> None:
    published = pl.read_parquet(FILE).with_columns(
        transaction_id=pl.col("TRANSACTION_ID").cast(pl.String),
        event_time=pl.col("TX_DATETIME").dt.epoch("us"),
        card_token=pl.col("CUSTOMER_ID").cast(pl.String),
        base_amount_minor=pl.col("TX_AMOUNT_CENTS").cast(pl.Int64),
        tied=pl.struct("CUSTOMER_ID", "TX_DATETIME").is_duplicated(),
    )
    found = backtest(published.lazy(), [RULE], Period()).alerts[RULE]
    assert found.height == published.height == 431_773
    both = published.join(found, on="transaction_id", validate="1:1").with_columns(
        cents1=(pl.col("avg1") - pl.col("AVG1") * 100).abs(), cents7=(pl.col("avg7") - pl.col("AVG7") * 100).abs()
    )
    different = both.filter(
        (pl.col("nb1") != pl.col("NB1"))
        | (pl.col("nb7") != pl.col("NB7"))
        | (pl.col("cents1") > 1e-4)
        | (pl.col("cents7") > 1e-4)
    )
    assert different.height == TIED_ROWS
    assert different["tied"].all()
    assert (different["nb1"] - different["NB1"]).to_list() == [1] * TIED_ROWS
    assert (different["nb7"] - different["NB7"]).to_list() == [1] * TIED_ROWS
    assert (both["nb1"] != both["NB1"]).sum() == (both["nb7"] != both["NB7"]).sum() == TIED_ROWS
