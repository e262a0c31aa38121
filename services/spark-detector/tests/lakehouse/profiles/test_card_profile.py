"""Profiles computed by Spark equal the definition of docs/rules.md in plain Python."""

import math
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_detector.lakehouse.profiles.card_days import card_days
from cardwatch_detector.lakehouse.profiles.card_profile import profiles
from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE
from cardwatch_rules.profile_history import profiles_of
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from support.random_examples import random_examples

VALID_ON = date(2026, 6, 10)
DAYS = (VALID_ON, VALID_ON - timedelta(days=1), VALID_ON - timedelta(days=7))
COLUMNS = (
    "card_token STRING, event_date DATE, hour_of_day INT, base_amount_minor BIGINT, country STRING, status STRING, "
    "transaction_type STRING, other_card_token STRING"
)

FIGURES = tuple(name for name in GOLD_CARD_PROFILE.columns if name not in ("card_token", "valid_on", "changed_by"))

transaction = st.fixed_dictionaries(
    {
        # Up to 105 days before; most near the windows' ends.
        "event_date": st.one_of(st.integers(0, 105), st.sampled_from([1, 2, 3, 30, 31, 32, 38, 90, 91, 92, 98])).map(
            lambda back: VALID_ON - timedelta(days=back)
        ),
        "hour_of_day": st.integers(0, 23),
        "base_amount_minor": st.one_of(st.integers(0, 10**13), st.sampled_from([0, 1, 999, 10**12])),
        "country": st.sampled_from(["AT", "DE", "FR", "US"]),
        "status": st.sampled_from(["approved"] * 4 + ["declined"]),
        "transaction_type": st.sampled_from(["purchase"] * 3 + ["withdrawal", "refund"]),
    }
)
cards = st.lists(st.lists(transaction, max_size=10), min_size=10, max_size=40)


def expected(transactions: list[dict[str, Any]], valid_on: date) -> dict[str, Any] | None:
    """The definition, implemented literally."""
    # "the 30 or 90 days that ended at D − 1 00:00"
    end = datetime(valid_on.year, valid_on.month, valid_on.day, tzinfo=UTC) - timedelta(days=1)

    def counted(length: int) -> list[dict[str, Any]]:
        return [
            t
            for t in transactions
            if end - timedelta(days=length) <= at(t) < end
            and t["status"] == "approved"
            and t["transaction_type"] != "refund"
        ]

    def at(t: dict[str, Any]) -> datetime:
        day = t["event_date"]
        return datetime(day.year, day.month, day.day, t["hour_of_day"], 59, tzinfo=UTC)

    of_90 = counted(90)
    if not of_90:
        return None
    record: dict[str, Any] = {}
    for name, found in (("30d", counted(30)), ("90d", of_90)):
        amounts = [t["base_amount_minor"] for t in found]
        n, total, squares = len(amounts), sum(amounts), sum(amount * amount for amount in amounts)
        record[f"transactions_{name}"] = n
        record[f"mean_amount_minor_{name}"] = float(total) / float(n) if n else None
        record[f"stddev_amount_minor_{name}"] = (
            math.sqrt(float(n * squares - total * total) / float(n * (n - 1))) if n > 1 else None
        )
    return record | {
        "max_amount_minor_90d": max(t["base_amount_minor"] for t in of_90),
        "active_days_90d": len({t["event_date"] for t in of_90}),
        "countries_90d": sorted({t["country"] for t in of_90}),
        "hours_90d": sorted({t["hour_of_day"] for t in of_90}),
    }


@random_examples(24, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(cards)
def test_profiles_are_as_defined(spark: SparkSession, histories: list[list[dict[str, Any]]]) -> None:
    rows = [{"card_token": f"card-{at}", **t} for at, history in enumerate(histories) for t in history]
    days = card_days(spark.createDataFrame(rows, COLUMNS))
    found = {
        (row.pop("card_token"), row.pop("valid_on")): row
        for row in (row.asDict() for row in profiles(days, DAYS).collect())
    }
    wanted = {
        (f"card-{at}", valid_on): profile
        for at, history in enumerate(histories)
        for valid_on in DAYS
        if (profile := expected(history, valid_on)) is not None
    }
    assert found == wanted


def test_a_backtest_computes_the_same_figures(spark: SparkSession) -> None:
    rng = random.Random(7)
    rows = [
        {
            "card_token": str(card),
            "event_date": VALID_ON - timedelta(days=rng.randrange(100)),
            "hour_of_day": rng.randrange(24),
            "base_amount_minor": rng.randrange(10**7),
            "country": rng.choice(["AT", "DE", "FR"]),
            "status": rng.choice(["approved", "approved", "declined"]),
            "transaction_type": rng.choice(["purchase", "purchase", "refund"]),
        }
        for card in range(20)
        for _ in range(60)
    ]
    # A backtest makes a profile where there is a transaction to put it beside.
    rows += [{**row, "event_date": VALID_ON, "status": "declined"} for row in rows[::60]]
    histories = pl.DataFrame(rows).with_columns(
        pl.col("card_token").cast(pl.Int64).alias("group"),
        pl.col("event_date").cast(pl.Datetime("us")).cast(pl.Int64).alias("event_time"),
    )
    beside = datetime(VALID_ON.year, VALID_ON.month, VALID_ON.day, tzinfo=UTC).timestamp() * 1_000_000
    wanted = {
        str(row["group"]): {name: row[f"profile.{name}"] for name in FIGURES}
        for row in profiles_of(histories.sort("group", "event_time")).rows(named=True)
        if row["event_time"] == beside
    }
    made = profiles(card_days(spark.createDataFrame(rows, COLUMNS)), [VALID_ON]).collect()
    assert len(wanted) == 20
    assert {row["card_token"]: {name: row[name] for name in FIGURES} for row in made} == wanted


def test_overflow_makes_only_the_deviation_null(spark: SparkSession) -> None:
    amount = 2**62
    shown = {"hour_of_day": 1, "base_amount_minor": amount, "country": "DE", "status": "approved"}
    near, far = (VALID_ON - timedelta(days=back) for back in (2, 60))
    rows = [
        {"card_token": "card", "transaction_type": "purchase", "event_date": day, **shown}
        for day, number in ((near, 2), (far, 5))
        for _ in range(number)
    ]
    (found,) = profiles(card_days(spark.createDataFrame(rows, COLUMNS)), [VALID_ON]).collect()
    assert found["transactions_90d"] == 7
    assert found["max_amount_minor_90d"] == amount
    assert found["mean_amount_minor_90d"] == float(amount)
    assert found["stddev_amount_minor_90d"] is None


def test_columns_are_the_tables_and_the_schemas(spark: SparkSession) -> None:
    days = card_days(spark.createDataFrame([], COLUMNS))
    made = profiles(days, DAYS)
    assert {name: kind.upper() for name, kind in days.dtypes} == dict(GOLD_CARD_DAYS.columns)
    table = {name: kind for name, kind in GOLD_CARD_PROFILE.columns.items() if name != "changed_by"}
    assert {name: kind.upper() for name, kind in made.dtypes} == table
    assert sorted(table) == sorted(field["name"] for field in parsed_schema("card_profile")["fields"])


def test_during_a_rotation_of_token_keys_a_transaction_counts_under_both_tokens(spark: SparkSession) -> None:
    day = {
        "event_date": DAYS[0],
        "hour_of_day": 9,
        "country": "DE",
        "status": "approved",
        "transaction_type": "purchase",
    }
    rows = [
        {**day, "card_token": "old", "base_amount_minor": 1},
        {**day, "card_token": "old", "base_amount_minor": 2, "other_card_token": "new"},
        {**day, "card_token": "new", "base_amount_minor": 4, "other_card_token": "old"},
        {**day, "card_token": "new", "base_amount_minor": 8},
    ]
    made = card_days(spark.createDataFrame(rows, COLUMNS)).collect()
    assert {row["card_token"]: (row["transactions"], row["sum_minor"]) for row in made} == {
        "old": (3, 7),
        "new": (3, 14),
    }
