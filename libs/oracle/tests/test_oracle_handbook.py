"""The oracle's window against velocity features that others published.

The Fraud Detection Handbook's authors computed the number (NB) and mean amount (AVG) of each customer's transactions
over one and seven days with pandas. They number transactions of one customer in the same second in row order; the
window `(t − W, t]` lets such transactions see each other.
"""

import os
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pytest
from cardwatch_oracle import windows

FOLDER: Final = Path(
    os.environ.get("CARDWATCH_HANDBOOK_DIR") or Path(__file__).resolve().parents[4] / "shared" / "data" / "handbook"
)
FILE: Final = FOLDER / "transactions_2018-04-01_2018-05-15.parquet"
DAY_US: Final = 86_400_000_000

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE.name} is not there, see CARDWATCH_HANDBOOK_DIR")


@pytest.fixture(scope="module")
def published() -> pa.Table:
    """Transactions by our names, with the published features and whether another of the same second exists."""
    with duckdb.connect() as connection:
        table: pa.Table = connection.sql(
            """SELECT TRANSACTION_ID::VARCHAR AS transaction_id, epoch_us(TX_DATETIME::TIMESTAMP) AS event_time,
                      CUSTOMER_ID::VARCHAR AS card_token, TX_AMOUNT_CENTS::BIGINT AS amount_minor,
                      NB1, AVG1, NB7, AVG7,
                      count(*) OVER (PARTITION BY CUSTOMER_ID, TX_DATETIME) > 1 AS tied
               FROM read_parquet(?)""",
            params=[str(FILE)],
        ).to_arrow_table()
    return table


@pytest.mark.parametrize(("days", "ties"), [(1, 7), (7, 7)])
def test_windows_equal_the_published_ones_but_for_ties(published: pa.Table, days: int, ties: int) -> None:
    events = published.select(["transaction_id", "event_time", "card_token", "amount_minor"])
    measured = windows(events, "card_token", days * DAY_US, "amount_minor")
    assert measured.num_rows == published.num_rows == 431_773
    with duckdb.connect() as connection:
        connection.register("measured", measured)
        connection.register("published", published)
        differing = connection.execute(
            f"""SELECT n, NB{days}, mean, AVG{days}, tied FROM measured JOIN published USING (transaction_id)
                WHERE n <> NB{days} OR abs(mean / 100 - AVG{days}) > 1e-6"""
        ).fetchall()
    assert sum(n != published_n for n, published_n, *_ in differing) == ties
    for n, published_n, _mean, _published_mean, tied in differing:
        assert tied
        assert n == published_n + 1
