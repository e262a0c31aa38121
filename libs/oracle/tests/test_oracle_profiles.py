"""Profiles: hand-drawn timelines of days, a loop in plain Python on random months, and given profiles."""

import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_oracle import OracleError, expected_alerts
from cardwatch_oracle.profiles import compute_profiles
from cardwatch_oracle.transactions import database

Row = dict[str, Any]
Raised = Callable[..., list[str]]

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
D = 1_795_478_400 * SECOND  # 2026-11-24 00:00 UTC, the day that profiles are for below

TRANSACTION = pa.schema(
    {
        "transaction_id": pa.string(),
        "event_time": pa.int64(),
        "card_token": pa.string(),
        "merchant_id": pa.string(),
        "status": pa.string(),
        "transaction_type": pa.string(),
        "base_amount_minor": pa.int64(),
        "country": pa.string(),
    }
)
FIELDS: dict[str, pa.DataType] = {
    "transactions_30d": pa.int64(),
    "mean_amount_minor_30d": pa.float64(),
    "stddev_amount_minor_30d": pa.float64(),
    "transactions_90d": pa.int64(),
    "mean_amount_minor_90d": pa.float64(),
    "stddev_amount_minor_90d": pa.float64(),
    "max_amount_minor_90d": pa.int64(),
    "active_days_90d": pa.int64(),
    "countries_90d": pa.list_(pa.string()),
    "hours_90d": pa.list_(pa.int32()),
}
PROFILE = pa.schema({"card_token": pa.string(), "valid_on": pa.timestamp("us", tz="UTC")} | FIELDS)


def payment(transaction_id: str, at_us: int, **fields: Any) -> Row:
    """A payment `at_us` microseconds after the day D begins."""
    usual = {
        "card_token": "c1",
        "merchant_id": "m1",
        "status": "approved",
        "transaction_type": "purchase",
        "base_amount_minor": 100,
        "country": "DE",
    }
    return usual | {"transaction_id": transaction_id, "event_time": D + at_us} | fields


def profile(card: str, day_us: int, **fields: Any) -> Row:
    """A profile that was computed elsewhere: `day_us` is the day's first microsecond."""
    usual = {
        "transactions_30d": 2,
        "mean_amount_minor_30d": 150.0,
        "stddev_amount_minor_30d": 10.0,
        "transactions_90d": 4,
        "mean_amount_minor_90d": 100.0,
        "stddev_amount_minor_90d": None,
        "max_amount_minor_90d": 200,
        "active_days_90d": 3,
        "countries_90d": ["DE"],
        "hours_90d": [9, 12],
    }
    return usual | {"card_token": card, "valid_on": day_us} | fields


def table(payments: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(payments), schema=TRANSACTION)


@pytest.fixture
def raised(tmp_path: Path) -> Raised:
    """Ids of the transactions for which a rule of the scope card raises an alert."""

    def of(payments: Sequence[Row], when: str, profiles: Sequence[Row] | pa.Table | None = None, **rule: Any) -> Any:
        file = tmp_path / "rules.yaml"
        file.write_text(json.dumps([{"id": "r", "scope": "card", "when": when} | rule]))  # JSON is YAML
        if profiles is not None and not isinstance(profiles, pa.Table):
            profiles = pa.Table.from_pylist(profiles, schema=PROFILE)
        return expected_alerts(table(payments), file, profiles=profiles)["transaction_id"].to_pylist()

    return of


@pytest.mark.parametrize(
    ("at_us", "days_30", "days_90"),
    [
        # The profile of D ends at D − 1 00:00, which is out …
        (-DAY, False, False),
        (-DAY - 1, True, True),
        (-1, False, False),
        # … and begins N days before that, which is in.
        (-31 * DAY, True, True),
        (-31 * DAY - 1, False, True),
        (-91 * DAY, False, True),
        (-91 * DAY - 1, False, False),
    ],
)
def test_borders_of_the_periods(raised: Raised, at_us: int, days_30: bool, days_90: bool) -> None:
    payments = [payment("past", at_us), payment("first", 0), payment("last", DAY - 1)]
    today = ["first", "last"]

    def hits(when: str) -> list[str]:
        return [name for name in raised(payments, when) if name in today]

    assert hits("profile.transactions_30d = 1") == (today if days_30 else [])
    assert hits("profile.transactions_90d = 1") == (today if days_90 else [])
    # Either there is a profile, whose 30 days may be empty, or everything of it is null.
    assert hits("profile.transactions_30d = 0") == (today if days_90 and not days_30 else [])
    assert hits("profile.transactions_90d is null and profile.transactions_30d is null") == ([] if days_90 else today)


def test_a_profile_is_for_its_day_only(raised: Raised) -> None:
    # a            b            c            d            e            f
    # D 23:00      D+1 24:00⁻   D+2 0:00     D+91 24:00⁻  D+92 0:00    D+93 0:00      only a and b count
    # none         none         a            a b          b            none
    payments = [
        payment("a", 23 * HOUR),
        payment("b", 2 * DAY - 1),
        payment("c", 2 * DAY, status="declined"),
        payment("d", 92 * DAY - 1, status="declined"),
        payment("e", 92 * DAY, transaction_type="refund"),
        payment("f", 93 * DAY, status="declined"),
    ]
    assert raised(payments, "profile.transactions_90d is null") == ["a", "b", "f"]
    assert raised(payments, "profile.transactions_90d = 2") == ["d"]
    assert raised(payments, "profile.transactions_90d = 1") == ["c", "e"]  # at e only b is left


def test_days_before_1970_are_days_as_well(raised: Raised) -> None:
    payments = [payment("a", -D - DAY - 1), payment("b", -D - 1), payment("c", -D), payment("d", -D + DAY)]
    # The days are −2, −1, 0 and 1.
    assert raised(payments, "profile.transactions_90d = 1 and profile.hours_90d is not null") == ["c"]
    assert raised(payments, "profile.transactions_90d = 2") == ["d"]
    assert raised(payments, "hour_of_day not in profile.hours_90d") == ["c", "d"]


def test_only_approved_transactions_except_refunds_count_once_each(raised: Raised) -> None:
    payments = [
        payment("declined", -5 * DAY, status="declined", base_amount_minor=5_000, country="FR"),
        payment("refund", -5 * DAY, transaction_type="refund", base_amount_minor=5_000, country="IT"),
        payment("unknown", -5 * DAY, transaction_type=None, base_amount_minor=5_000, country="ES"),
        payment("other", -5 * DAY, card_token="c2", base_amount_minor=5_000, country="ES"),
        payment("a", -4 * DAY, transaction_type="withdrawal", base_amount_minor=2),
        payment("b", -3 * DAY, base_amount_minor=4, country="AT"),
        payment("b", -3 * DAY, base_amount_minor=4, country="AT"),
        payment("c", -3 * DAY + HOUR, base_amount_minor=9),
        payment("now", 13 * HOUR, base_amount_minor=3, status="declined"),
    ]
    for when in (
        "profile.transactions_30d = 3 and profile.transactions_90d = 3 and profile.active_days_90d = 2",
        "profile.max_amount_minor_90d = 9 and profile.mean_amount_minor_30d = 5.0",
        "profile.stddev_amount_minor_30d = profile.stddev_amount_minor_90d",
        f"profile.stddev_amount_minor_90d = {math.sqrt(13)!r}",
        "'AT' in profile.countries_90d and 'DE' in profile.countries_90d",
        "'FR' not in profile.countries_90d and 'IT' not in profile.countries_90d and 'ES' not in profile.countries_90d",
        "0 in profile.hours_90d and 1 in profile.hours_90d and hour_of_day not in profile.hours_90d",
    ):
        assert "now" in raised(payments, when), when


def test_a_card_that_was_only_declined_has_no_profile(raised: Raised) -> None:
    payments = [payment("a", -5 * DAY, status="declined"), payment("b", 0)]
    assert raised(payments, "profile.transactions_90d is null and profile.active_days_90d is null") == ["a", "b"]
    assert raised(payments, "profile.transactions_90d >= 0 or country not in profile.countries_90d") == []


def test_deviation_of_large_amounts_is_exact_and_null_under_two(raised: Raised) -> None:
    payments = [
        payment("a", -9 * DAY, base_amount_minor=10**15),
        payment("b", -8 * DAY, base_amount_minor=10**15 + 1),
        payment("c", 0),
        payment("d", -7 * DAY),
    ]
    assert raised(payments, f"profile.stddev_amount_minor_90d = {math.sqrt(0.5)!r}") == []
    assert raised(payments[:3], f"profile.stddev_amount_minor_90d = {math.sqrt(0.5)!r}") == ["c"]
    assert raised(payments[1:3], "profile.mean_amount_minor_90d > 1 and profile.stddev_amount_minor_90d is null") == [
        "c"
    ]


@pytest.mark.parametrize(
    ("when", "hits"),
    [
        ("country in profile.countries_90d", ["known"]),
        ("country not in profile.countries_90d", ["new", "uncharted"]),
        ("not country in profile.countries_90d", ["new", "uncharted"]),
        ("(country in profile.countries_90d) is null", ["nowhere", "stranger", "lost"]),
        ("(country not in profile.countries_90d) is null", ["nowhere", "stranger", "lost"]),
        ("COUNTRY NOT IN Profile . Countries_90d -- profile.colour", ["new", "uncharted"]),
        ("hour_of_day + 4 in profile.hours_90d", ["known"]),
        ("'profile.colour' <> '' and hour_of_day + 3 not in profile.hours_90d", ["known", "uncharted", "lost"]),
    ],
)
def test_lists_of_a_profile(raised: Raised, when: str, hits: list[str]) -> None:
    payments = [
        payment("known", 5 * HOUR + 1),
        payment("new", 6 * HOUR, country="FR"),
        payment("nowhere", 6 * HOUR + 1, country=None),
        payment("stranger", 7 * HOUR, card_token="c2"),
        payment("uncharted", 8 * HOUR, card_token="c3"),
        payment("lost", 9 * HOUR, card_token="c3", country=None),
    ]
    profiles = [profile("c1", D), profile("c2", D + DAY), profile("c3", D, countries_90d=[], hours_90d=[])]
    assert raised(payments, when, profiles) == hits


def test_a_rule_combines_a_window_with_a_profile(raised: Raised) -> None:
    # w1   w2     a      b of c2   c(FR)   d(FR)        e(FR), two hours later
    # 20   40     80     5000      50      50           50        mean 30, so more than 90 within the hour
    payments = [
        payment("w1", -40 * DAY, base_amount_minor=20),
        payment("w2", -20 * DAY, base_amount_minor=40),
        payment("a", 0, base_amount_minor=80),
        payment("b", 1, base_amount_minor=5_000, card_token="c2", country="FR"),
        payment("c", 2, base_amount_minor=50, country="FR"),
        payment("d", 3, base_amount_minor=50, country="FR"),
        payment("e", 2 * HOUR, base_amount_minor=50, country="FR"),
    ]
    spent = {"spent": {"window": "1h", "is": "sum(base_amount_minor)", "where": "status = 'approved'"}}
    when = "spent > 3 * profile.mean_amount_minor_90d and country not in profile.countries_90d"
    assert raised(payments, when, measures=spent) == ["c", "d"]
    # Names of profile fields are not measures: a measure may have the name of such a field, or `profile`.
    named = {name: {"window": "1h", "is": "count(*)"} for name in ("transactions_90d", "profile", "profiles")}
    when = "transactions_90d > profile.transactions_90d and profile = profiles"
    assert raised(payments, when, measures=named) == ["d"]


def test_hits_of_a_profile_are_suppressed_as_others_are(tmp_path: Path) -> None:
    payments = [payment("w", -40 * DAY), payment("a", 0, country="FR"), payment("b", SECOND, country="FR")]
    file = tmp_path / "rules.yaml"
    file.write_text("- {id: r, scope: card, when: country not in profile.countries_90d, suppress: 10m}")
    alerts = expected_alerts(table(payments), file).select(["transaction_id", "status"]).to_pylist()
    assert [tuple(alert.values()) for alert in alerts] == [("a", "raised"), ("b", "suppressed")]


def test_given_profiles_replace_computed_ones(raised: Raised) -> None:
    # From the transactions nobody would have a profile.
    payments = [payment("a", 0), payment("b", DAY - 1), payment("c", DAY), payment("d", 0, card_token="c2")]
    given = [profile("c1", D), profile("c1", D), profile("c2", D - DAY)]
    when = "profile.transactions_30d = 2 and profile.stddev_amount_minor_90d is null and 9 in profile.hours_90d"
    assert raised(payments, when) == []
    assert raised(payments, when, given) == ["a", "b"]
    # … and without given profiles no card has one, even with earlier transactions.
    payments += [payment("w", -5 * DAY)]
    assert raised(payments, "profile.transactions_90d = 1", []) == []
    assert raised(payments, "profile.transactions_90d = 1") == ["a", "b", "c"]


def test_the_day_of_a_given_profile_may_be_microseconds(raised: Raised) -> None:
    given = pa.Table.from_pylist([profile("c1", D)], schema=PROFILE)
    day = given.column_names.index("valid_on")
    for kind in (pa.int64(), pa.timestamp("us")):
        as_kind = given.set_column(day, "valid_on", given["valid_on"].cast(kind))
        assert raised([payment("a", 0)], "profile.transactions_90d = 4", as_kind) == ["a"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([profile("c1", D), profile("c1", D, transactions_30d=3)], "those of c1 differ"),
        ([profile("c1", D + HOUR)], "00:00 UTC"),
        ([profile("c1", D) | {"card_token": None}], "card_token"),
    ],
)
def test_ambiguous_profiles_are_refused(raised: Raised, given: list[Row], problem: str) -> None:
    with pytest.raises(OracleError, match=problem):
        raised([payment("a", 0)], "profile.transactions_90d = 1", given)


def test_a_profile_without_a_column_or_with_another_type_is_refused(raised: Raised) -> None:
    given = pa.Table.from_pylist([profile("c1", D)], schema=PROFILE)
    with pytest.raises(OracleError, match="no column hours_90d"):
        raised([payment("a", 0)], "true", given.drop_columns(["hours_90d"]))
    day = given.column_names.index("valid_on")
    with pytest.raises(OracleError, match="valid_on must be int64"):
        raised([payment("a", 0)], "true", given.set_column(day, "valid_on", pa.array(["2026-11-24"])))
    countries = given.column_names.index("countries_90d")
    with pytest.raises(OracleError, match="the profiles cannot be used") as refused:
        raised([payment("a", 0)], "true", given.set_column(countries, "countries_90d", pa.array([7])))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"when": "profile.colour = 'red'"}, "profile.colour, which no profile has"),
        ({"when": "profile.transactions_90d > 1", "scope": "merchant"}, "only rules of the scope card"),
        (
            {"when": "n > 1", "measures": {"n": {"window": "1h", "is": "count(*)", "where": "profile.hours_90d = 1"}}},
            "measure n: profiles are for `when`",
        ),
    ],
)
def test_a_use_of_a_missing_profile_is_refused(raised: Raised, rule: Row, problem: str) -> None:
    with pytest.raises(OracleError, match=problem):
        raised([payment("a", 0)], **rule)


def test_a_field_that_profiles_are_computed_from_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {id: r, scope: card, when: profile.transactions_90d > 1}")
    payments = table([payment("a", 0)])
    for field in ("base_amount_minor", "transaction_type"):
        with pytest.raises(OracleError, match=field):
            expected_alerts(payments.drop_columns([field]), file)


def months(chance: random.Random) -> list[Row]:
    """Transactions of some cards over 120 days, which miss days and weeks, many of them at the border of a day."""
    drawn = []
    for number in range(1_200):
        card = chance.randrange(9)
        # Of each card some weeks are empty, and card 0 has long silences.
        weeks = [week for week in range(17) if (week * 7 + card) % 3 and (card or week in (0, 5, 14, 16))]
        at = chance.choice(weeks) * 7 * DAY + chance.randrange(7) * DAY
        at += chance.choice([0, 0, DAY - 1, DAY - 1, chance.randrange(DAY)])
        drawn.append(
            payment(
                f"t{number}",
                at,
                card_token=f"c{card}",
                status=chance.choice(["approved", "approved", "declined"]),
                transaction_type=chance.choice(["purchase", "purchase", "withdrawal", "refund"]),
                base_amount_minor=chance.choice([0, 1, chance.randrange(10**4), chance.randrange(10**9)]),
                country=chance.choice(["DE"] * 9 + ["FR", "IT"]),
            )
        )
    return drawn


def brute_force(transactions: list[Row], now: Row) -> Row | None:
    """The profile of a transaction, from the definition."""
    end = now["event_time"] // DAY * DAY - DAY

    def of(days: int) -> list[Row]:
        return [
            row
            for row in transactions
            if row["card_token"] == now["card_token"]
            and end - days * DAY <= row["event_time"] < end
            and row["status"] == "approved"
            and row["transaction_type"] != "refund"
        ]

    month, quarter = of(30), of(90)
    if not quarter:
        return None
    amounts_30, amounts_90 = ([row["base_amount_minor"] for row in rows] for rows in (month, quarter))
    return {
        "transactions_30d": len(month),
        "mean_amount_minor_30d": sum(amounts_30) / len(month) if month else None,
        "stddev_amount_minor_30d": pytest.approx(statistics.stdev(amounts_30), rel=1e-12) if len(month) > 1 else None,
        "transactions_90d": len(quarter),
        "mean_amount_minor_90d": sum(amounts_90) / len(quarter),
        "stddev_amount_minor_90d": (
            pytest.approx(statistics.stdev(amounts_90), rel=1e-12) if len(quarter) > 1 else None
        ),
        "max_amount_minor_90d": max(amounts_90),
        "active_days_90d": len({row["event_time"] // DAY for row in quarter}),
        "countries_90d": sorted({row["country"] for row in quarter}),
        "hours_90d": sorted({row["event_time"] % DAY // HOUR for row in quarter}),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_profiles_equal_the_definition_spelled_out(raised: Raised, seed: int) -> None:
    chance = random.Random(seed)
    transactions = months(chance)
    arrivals = [*transactions, *chance.choices(transactions, k=300)]
    chance.shuffle(arrivals)
    wanted = {row["transaction_id"]: brute_force(transactions, row) for row in transactions}
    # What is drawn holds every case.
    known = [profile for profile in wanted.values() if profile]
    assert len(known) < len(wanted)
    assert {0, 1} < {profile["transactions_30d"] for profile in known}
    assert {1, 2} < {len(profile["countries_90d"]) for profile in known}

    with database(table(arrivals)) as connection:
        compute_profiles(connection)
        rows = connection.sql("SELECT * FROM profiles").to_arrow_table().to_pylist()
    computed = {
        (row.pop("profile card"), row.pop("profile day") * DAY): {
            name.removeprefix("profile "): value for name, value in row.items()
        }
        for row in rows
    }
    assert len(computed) == len(rows)
    assert computed == {
        (row["card_token"], row["event_time"] // DAY * DAY): profile
        for row in transactions
        if (profile := wanted[row["transaction_id"]])
    }

    conditions: dict[str, Callable[[Row, Row], bool]] = {
        "country not in profile.countries_90d": lambda row, known: row["country"] not in known["countries_90d"],
        "not hour_of_day in profile.hours_90d": lambda row, known: (
            row["event_time"] % DAY // HOUR not in known["hours_90d"]
        ),
        "base_amount_minor > profile.max_amount_minor_90d": lambda row, known: (
            row["base_amount_minor"] > known["max_amount_minor_90d"]
        ),
        "profile.transactions_30d = 0 and profile.mean_amount_minor_30d is null": lambda row, known: (
            known["transactions_30d"] == 0
        ),
    }
    in_order = sorted(transactions, key=lambda row: (row["event_time"], row["transaction_id"]))
    for when, holds in conditions.items():
        hits = [
            row["transaction_id"] for row in in_order if (known := wanted[row["transaction_id"]]) and holds(row, known)
        ]
        assert hits
        assert raised(arrivals, when) == hits, when
