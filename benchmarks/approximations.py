"""What approximate windows would have reported on the Fraud Detection Handbook's transactions: alerts missed and false.

The rule is "at least N transactions of a card within a day", evaluated at each transaction. The exact answers are those
of
the backtest, `(t − 24h, t]`; docs/approximations.md explains the others. Prints a Markdown table.

    python benchmarks/approximations.py --handbook ../shared/data/handbook
"""

import argparse
import os
from pathlib import Path

import numpy as np
import polars as pl
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.parse import parse_rules

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
THRESHOLDS = (6, 8, 10, 12)
FILE = "transactions_2018-04-01_2018-05-15.parquet"
RULE = """
rules:
  - {id: day-count, title: Transactions of a card within a day, scope: card, when: payments >= 1,
     measures: {payments: {window: 24h, is: count(*)}}}
"""


def exact(transactions: pl.DataFrame) -> pl.DataFrame:
    """The transactions sorted by card and time, with the exact count."""
    (rule,) = parse_rules(RULE)
    alerts = backtest(transactions.lazy(), [rule], Period()).alerts[rule].select("transaction_id", exact="payments")
    return transactions.join(alerts, on="transaction_id").sort("card_token", "event_time", "transaction_id")


def since(card: np.ndarray, at: np.ndarray, start: np.ndarray) -> np.ndarray:
    """For each row, the number of the card's rows from its start time up to its own time."""
    stride = int(at.max() - at.min()) + 2 * DAY_US
    axis = card * stride + (at - at.min()) + DAY_US
    return np.searchsorted(axis, axis, side="right") - np.searchsorted(axis, axis - (at - start), side="left")


def closed_hops(card: np.ndarray, at: np.ndarray) -> np.ndarray:
    """For each row, the largest final count of the 24 windows that contain it."""
    stride = int(at.max() - at.min()) + 4 * DAY_US
    axis = card * stride + (at - at.min()) + 2 * DAY_US
    best = np.zeros(len(card), dtype=np.int64)
    for hop in range(24):
        begin = axis - at + at // HOUR_US * HOUR_US - hop * HOUR_US
        count = np.searchsorted(axis, begin + DAY_US, side="left") - np.searchsorted(axis, begin, side="left")
        best = np.maximum(best, count)
    return best


def expiring(card: np.ndarray, at: np.ndarray, *, renewed: bool) -> np.ndarray:
    """A counter that expires a day after its first event, or after its last event if each event renews it."""
    counts = np.empty(len(card), dtype=np.int64)
    whose, until, count = -1, 0, 0
    for row, (this, now) in enumerate(zip(card.tolist(), at.tolist(), strict=True)):
        if this != whose or now >= until:
            whose, until, count = this, now + DAY_US, 0
        count += 1
        if renewed:
            until = now + DAY_US
        counts[row] = count
    # Transactions with the same time count each other, as in the exact window.
    return (
        pl.DataFrame({"card": card, "at": at, "count": counts}).select(pl.col("count").max().over("card", "at"))[
            "count"
        ]
    ).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("CARDWATCH_HANDBOOK_DIR") or Path(__file__).resolve().parents[2] / "shared/data/handbook"
    parser.add_argument("--handbook", type=Path, default=Path(default), help=f"directory with {FILE}")
    options = parser.parse_args()
    published = pl.read_parquet(options.handbook / FILE)
    transactions = exact(
        published.select(
            transaction_id=pl.col("TRANSACTION_ID").cast(pl.String),
            event_time=pl.col("TX_DATETIME").dt.epoch("us"),
            card_token=pl.col("CUSTOMER_ID").cast(pl.String),
        )
    )
    card = transactions["card_token"].rank("dense").cast(pl.Int64).to_numpy()
    at = transactions["event_time"].to_numpy()
    truth = transactions["exact"].to_numpy()
    counts = {
        "exact, `(t − 24h, t]`": truth,
        "hopping, 24 h every 1 h, reported at once": since(card, at, at // HOUR_US * HOUR_US - 23 * HOUR_US),
        "hopping, reported when the window closes": closed_hops(card, at),
        "tumbling, calendar day": since(card, at, at // DAY_US * DAY_US),
        "counter, expires 24 h after its first event": expiring(card, at, renewed=False),
        "counter, expires 24 h after its last event": expiring(card, at, renewed=True),
    }
    print(f"{transactions.height:,} transactions of {len(np.unique(card)):,} cards\n")
    print("| N | window | alerts | missed | false | wrong counts | cards missed entirely |")
    print("|---|---|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        should = truth >= threshold
        for name, count in counts.items():
            does = count >= threshold
            missed, false = int((should & ~does).sum()), int((does & ~should).sum())
            lost = len(np.setdiff1d(card[should], card[does]))
            share = f" ({missed / should.sum():.1%})" if missed else ""
            wrong = f"{np.mean(count != truth):.1%}"
            print(
                f"| {threshold} | {name} | {does.sum():,} | {missed:,}{share} | {false:,} | {wrong} | "
                f"{lost:,} of {len(np.unique(card[should])):,} |"
            )


if __name__ == "__main__":
    main()
