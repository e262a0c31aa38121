"""Hand-drawn timelines: each case shows when its transactions happen and which of them must raise the alert."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pyarrow as pa
import pytest
from cardwatch_oracle import EXPECTED_ALERTS, OracleError, expected_alerts, windows

SECOND = 1_000_000
NOON = 1_795_521_600 * SECOND  # 2026-11-24 12:00 UTC, a Tuesday

TYPES: dict[str, pa.DataType] = {
    "transaction_id": pa.string(),
    "event_time": pa.int64(),
    "card_token": pa.string(),
    "card_bin": pa.string(),
    "amount_minor": pa.int64(),
    "currency": pa.string(),
    "merchant_id": pa.string(),
    "merchant_category_code": pa.string(),
    "country": pa.string(),
    "status": pa.string(),
    "device_id": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
}


def payment(transaction_id: str, at_us: int, **fields: Any) -> dict[str, Any]:
    """A payment `at_us` microseconds after noon."""
    usual = {
        "card_token": "c1",
        "card_bin": "400000",
        "amount_minor": 100,
        "currency": "EUR",
        "merchant_id": "m1",
        "merchant_category_code": "5411",
        "country": "DE",
        "status": "approved",
        "device_id": None,
        "latitude": None,
        "longitude": None,
    }
    return usual | {"transaction_id": transaction_id, "event_time": NOON + at_us} | fields


def table(payments: Sequence[dict[str, Any]], **more: pa.DataType) -> pa.Table:
    return pa.Table.from_pylist(list(payments), schema=pa.schema(TYPES | more))


@pytest.fixture
def rates(tmp_path: Path) -> Path:
    file = tmp_path / "rates.csv"
    file.write_text("currency,exponent,rate_e8\nEUR,2,100000000\nUSD,2,86500000\nJPY,0,613000\nKWD,3,281250000\n")
    return file


@pytest.fixture
def rule_file(tmp_path: Path) -> "RuleFile":
    return RuleFile(tmp_path / "rules.yaml")


@pytest.fixture
def lists() -> dict[str, list[str]]:
    return {"trusted": ["m1", "m'2"], "watched": ["d1"], "empty": []}


class RuleFile:
    """Writes a file with one rule."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, measures: dict[str, dict[str, str]], when: str, **fields: Any) -> Path:
        rule = {"id": "r", "version": 1, "scope": "card", "measures": measures, "when": when} | fields
        self.path.write_text(json.dumps({"rules": [rule]}))  # JSON is YAML
        return self.path


def raised(payments: Sequence[dict[str, Any]], rules: Path, rates: Path | None = None) -> list[str]:
    return [str(row) for row in expected_alerts(table(payments), rules, rates)["transaction_id"].to_pylist()]


def values(payments: Sequence[dict[str, Any]], rules: Path) -> dict[str, Any]:
    """Value of the measure `n` of each raised transaction."""
    rows = expected_alerts(table(payments), rules, None).to_pylist()
    return {row["transaction_id"]: json.loads(row["measures"])["n"] for row in rows}


def count(window: str = "10s", **more: str) -> dict[str, dict[str, str]]:
    return {"n": {"window": window, "is": "count(*)"} | more}


def test_window_is_open_at_its_start(rule_file: RuleFile) -> None:
    # a          b            window of b is (0, 10]: a is out
    # 0s        10s
    payments = [payment("a", 0), payment("b", 10 * SECOND)]
    assert values(payments, rule_file(count(), "n >= 1")) == {"a": 1, "b": 1}


def test_window_includes_a_transaction_one_microsecond_after_its_start(rule_file: RuleFile) -> None:
    # ·a         b            a at 1 µs, b at 10 s: a is in
    payments = [payment("a", 1), payment("b", 10 * SECOND)]
    assert values(payments, rule_file(count(), "n >= 1")) == {"a": 1, "b": 2}


def test_ties_see_each_other(rule_file: RuleFile) -> None:
    # a   bc                  b and c at the same microsecond: both see three
    payments = [payment("a", 0), payment("b", 5), payment("c", 5)]
    assert values(payments, rule_file(count(), "n >= 1")) == {"a": 1, "b": 3, "c": 3}


def test_arrival_order_does_not_matter(rule_file: RuleFile) -> None:
    payments = [payment(name, at * SECOND) for at, name in enumerate("abcdefgh")]
    rules = rule_file(count("3s"), "n >= 3")
    assert raised(payments, rules) == list("cdefgh")
    assert raised(payments[::-1], rules) == list("cdefgh")


def test_a_duplicate_counts_once_and_alerts_once(rule_file: RuleFile) -> None:
    # a b(b)    c
    payments = [payment("a", 0), payment("b", 1), payment("b", 1), payment("c", 2), payment("a", 0)]
    assert values(payments, rule_file(count(), "n >= 1")) == {"a": 1, "b": 2, "c": 3}


def test_messages_of_one_transaction_may_differ_in_transport_fields(rule_file: RuleFile) -> None:
    payments = [payment("a", 0) | {"raw_offset": 1}, payment("a", 0) | {"raw_offset": 2}]
    alerts = expected_alerts(table(payments, raw_offset=pa.int64()), rule_file(count(), "n >= 1"), None)
    assert alerts["transaction_id"].to_pylist() == ["a"]


def test_contradictory_duplicates_have_no_expected_alerts(rule_file: RuleFile) -> None:
    payments = [payment("a", 0, amount_minor=1), payment("a", 0, amount_minor=2)]
    with pytest.raises(OracleError, match="those of a differ"):
        raised(payments, rule_file(count(), "n >= 1"))


def test_keys_are_apart_and_scope_chooses_the_key(rule_file: RuleFile) -> None:
    # card c1   a   c         merchant m1  a b
    # card c2     b           merchant m2      c
    payments = [payment("a", 0), payment("b", 1, card_token="c2"), payment("c", 2, merchant_id="m2")]
    assert values(payments, rule_file(count(), "n >= 1")) == {"a": 1, "b": 1, "c": 2}
    alerts = expected_alerts(table(payments), rule_file(count(), "n >= 2", scope="merchant"), None).to_pylist()
    assert [(alert["scope"], alert["key"], alert["transaction_id"]) for alert in alerts] == [("merchant", "m1", "b")]


def test_a_transaction_without_a_key_is_in_no_window(rule_file: RuleFile) -> None:
    payments = [payment("a", 0), payment("b", 1), payment("c", 2, device_id="d1")]
    assert values(payments, rule_file(count(), "n >= 1", scope="device")) == {"c": 1}


def test_where_excludes_a_transaction_from_the_measure_but_not_from_evaluation(rule_file: RuleFile) -> None:
    # a  b(declined)  c       c: two of three; b itself is evaluated, though it does not count
    payments = [payment("a", 0), payment("b", 1, status="declined"), payment("c", 2)]
    assert values(payments, rule_file(count(where="status = 'approved'"), "n >= 1")) == {"a": 1, "b": 1, "c": 2}


def test_where_that_is_unknown_excludes(rule_file: RuleFile) -> None:
    # device_id of a is null: `device_id <> 'd1'` is neither true nor false
    payments = [payment("a", 0), payment("b", 1, device_id="d1"), payment("c", 2, device_id="d2")]
    assert values(payments, rule_file(count(where="device_id <> 'd1'"), "n >= 0")) == {"a": 0, "b": 0, "c": 1}


def test_distinct_counts_values_and_no_nulls(rule_file: RuleFile) -> None:
    # DE  FR  DE  null  IT
    # 0s  1s  2s   3s   11s    window 10 s: (1, 11] at the end, so FR is out
    countries = {"a": (0, "DE"), "b": (1, "FR"), "c": (2, "DE"), "d": (3, None), "e": (11, "IT")}
    payments = [payment(name, at * SECOND, country=country) for name, (at, country) in countries.items()]
    rules = rule_file({"n": {"window": "10s", "is": "count(distinct country)"}}, "n >= 0")
    assert values(payments, rules) == {"a": 1, "b": 2, "c": 2, "d": 2, "e": 2}


@pytest.mark.parametrize(
    ("expression", "at_b", "at_c"),
    [("sum", 30, 45), ("mean", 15.0, 15.0), ("min", 10, 10), ("max", 20, 20)],
)
def test_functions_of_a_field(rule_file: RuleFile, expression: str, at_b: float, at_c: float) -> None:
    # 10  20  15              all within the window
    amounts = {"a": 10, "b": 20, "c": 15}
    payments = [payment(name, at, amount_minor=amount) for at, (name, amount) in enumerate(amounts.items())]
    measured = values(payments, rule_file({"n": {"window": "1m", "is": f"{expression}(amount_minor)"}}, "n >= 0"))
    assert (measured["b"], measured["c"]) == (at_b, at_c)


@pytest.mark.parametrize("expression", ["sum", "mean", "min", "max"])
def test_nothing_to_measure_is_null_and_null_is_not_raised(rule_file: RuleFile, expression: str) -> None:
    payments = [payment("a", 0)]
    measure = {"n": {"window": "1m", "is": f"{expression}(amount_minor)", "where": "status = 'declined'"}}
    assert values(payments, rule_file(measure, "n is null")) == {"a": None}
    assert values(payments, rule_file(measure, "n >= 0")) == {}
    assert values(payments, rule_file(measure, "not (n >= 0)")) == {}


def test_declines_are_counted_where_where_holds(rule_file: RuleFile) -> None:
    # a✗  b✗(FR)  c   d✗
    payments = [
        payment("a", 0, status="declined"),
        payment("b", 1, status="declined", country="FR"),
        payment("c", 2),
        payment("d", 3, status="declined"),
    ]
    declines = {"window": "1m", "is": "declines(*)"}
    assert values(payments, rule_file({"n": declines}, "true")) == {"a": 1, "b": 2, "c": 2, "d": 3}
    assert values(payments, rule_file({"n": declines | {"where": "country = 'DE'"}}, "true")) == {
        "a": 1, "b": 1, "c": 1, "d": 2,
    }  # fmt: skip


def test_deviation_and_ratio(rule_file: RuleFile) -> None:
    # 2   4   9          n = 3, Σx = 15, Σx² = 101: √((303 − 225) / 6) = √13; 9 / (15 / 3) = 1.8
    payments = [
        payment(name, at, amount_minor=amount) for at, (name, amount) in enumerate({"a": 2, "b": 4, "c": 9}.items())
    ]
    deviation = {"n": {"window": "1m", "is": "stddev(amount_minor)"}}
    assert values(payments, rule_file(deviation, "true")) == {"a": None, "b": math.sqrt(2), "c": math.sqrt(13)}
    ratio = {"n": {"window": "1m", "is": "ratio_to_mean(amount_minor)"}}
    assert values(payments, rule_file(ratio, "true")) == {"a": 1.0, "b": 4 / 3, "c": 1.8}


def test_deviation_of_large_amounts_is_exact(rule_file: RuleFile) -> None:
    # Doubles would lose the last digits of the squares: both deviations would be 0 or far off.
    amounts = {"a": 10**15, "b": 10**15 + 1, "c": 10**15 + 2}
    payments = [payment(name, at, amount_minor=amount) for at, (name, amount) in enumerate(amounts.items())]
    measured = values(payments, rule_file({"n": {"window": "1m", "is": "stddev(amount_minor)"}}, "true"))
    assert measured == {"a": None, "b": math.sqrt(0.5), "c": 1.0}


def test_ratio_includes_the_own_value_regardless_of_where(rule_file: RuleFile) -> None:
    # 0✗   0   6   10✗       declined ones are not in the mean, and are compared with it
    payments = [
        payment("a", 0, amount_minor=0, status="declined"),
        payment("b", 1, amount_minor=0),
        payment("c", 2, amount_minor=6),
        payment("d", 3, amount_minor=10, status="declined"),
    ]
    ratio = {"n": {"window": "1m", "is": "ratio_to_mean(amount_minor)", "where": "status = 'approved'"}}
    # a: there is no mean; b: the mean is 0; c: 6 / 3; d: 10 / 3
    assert values(payments, rule_file(ratio, "true")) == {"a": None, "b": None, "c": 2.0, "d": 10 / 3}


@pytest.mark.parametrize(
    ("expression", "seen"),
    [
        # x2(FR)  x1(–)   y1(DE) y3(IT)              z(–)
        #  0s      0s      5s     5s                  12s       window 10 s
        ("first(country)", {"x1": "FR", "x2": "FR", "y1": "FR", "y3": "FR", "z": "DE"}),
        ("last(country)", {"x1": "FR", "x2": "FR", "y1": "IT", "y3": "IT", "z": "IT"}),
        ("first(transaction_id)", {"x1": "x1", "x2": "x1", "y1": "x1", "y3": "x1", "z": "y1"}),
        ("last(transaction_id)", {"x1": "x2", "x2": "x2", "y1": "y3", "y3": "y3", "z": "z"}),
        ("previous(country)", {"x1": None, "x2": None, "y1": "FR", "y3": "DE", "z": "IT"}),
        ("previous(transaction_id)", {"x1": None, "x2": "x1", "y1": "x2", "y3": "y1", "z": "y3"}),
        ("seconds_since_previous(*)", {"x1": None, "x2": 0.0, "y1": 5.0, "y3": 0.0, "z": 7.0}),
    ],
)
def test_equal_times_are_in_the_order_of_ids(rule_file: RuleFile, expression: str, seen: dict[str, Any]) -> None:
    payments = [
        payment("x2", 0, country="FR"),
        payment("x1", 0, country=None),
        payment("y1", 5 * SECOND, country="DE"),
        payment("y3", 5 * SECOND, country="IT"),
        payment("z", 12 * SECOND, country=None),
    ]
    assert values(payments, rule_file({"n": {"window": "10s", "is": expression}}, "true")) == seen


def test_the_previous_one_lies_in_the_window_and_satisfies_where(rule_file: RuleFile) -> None:
    # a     b✗    c         d       window 10 s; d is 10 s after c
    payments = [
        payment("a", 0),
        payment("b", 2 * SECOND, status="declined"),
        payment("c", 3 * SECOND + 1),
        payment("d", 13 * SECOND + 1),
    ]
    since = {"n": {"window": "10s", "is": "seconds_since_previous(*)", "where": "status = 'approved'"}}
    assert values(payments, rule_file(since, "true")) == {"a": None, "b": 2.0, "c": 3.000001, "d": None}


def test_distance_and_speed_skip_transactions_without_a_location(rule_file: RuleFile) -> None:
    # Berlin   –     Paris     Paris     antipode of Paris      a quarter of an hour between neighbours, e tied with d
    paris = {"latitude": 48.8566, "longitude": 2.3522}
    quarter = 900 * SECOND
    payments = [
        payment("a", 0, latitude=52.52, longitude=13.405),
        payment("b", quarter),
        payment("c", 2 * quarter, **paris),
        payment("d", 3 * quarter, **paris),
        payment("e", 3 * quarter, latitude=-48.8566, longitude=2.3522 - 180),
    ]
    half_round = round(math.pi * 6371.0088, 3)
    distance = {"n": {"window": "1h", "is": "distance_km(*)"}}
    assert values(payments, rule_file(distance, "true")) == {
        "a": None,
        "b": None,
        "c": 877.465,
        "d": 0.0,
        "e": half_round,
    }
    speed = {"n": {"window": "1h", "is": "speed_kmh(*)"}}
    # No time is between d and e: it counts as a second.
    assert values(payments, rule_file(speed, "true")) == {
        "a": None, "b": None, "c": 877.465 / 0.5, "d": 0.0, "e": pytest.approx(half_round * 3_600),
    }  # fmt: skip


def test_scope_bin(rule_file: RuleFile) -> None:
    payments = [payment("a", 0), payment("b", 1, card_token="c2"), payment("c", 2, card_bin="400001")]
    assert values(payments, rule_file(count(), "true", scope="bin")) == {"a": 1, "b": 2, "c": 1}


@pytest.mark.parametrize(
    ("when", "hits"),
    [
        ("merchant_id in list('trusted')", ["a", "b"]),
        ("merchant_id not in list('trusted')", ["c"]),
        ("device_id in list('watched')", ["a"]),
        ("device_id not in list('watched')", ["b"]),  # of c nobody knows the device
        ("(device_id in list('watched')) is null", ["c"]),
        ("device_id in list('empty')", []),
        ("device_id not in list('empty')", ["a", "b"]),
        ("not device_id in list('nowhere')", ["a", "b"]),
        ("coalesce(device_id, '') not in list('empty')", ["a", "b", "c"]),
        ("merchant_id <> 'in list(''trusted'')' -- in list('x')", ["a", "b", "c"]),
    ],
)
def test_lists(rule_file: RuleFile, lists: dict[str, list[str]], when: str, hits: list[str]) -> None:
    payments = [
        payment("a", 0, device_id="d1"),
        payment("b", 1, merchant_id="m'2", device_id="d2"),
        payment("c", 2, merchant_id="m3"),
    ]
    alerts = expected_alerts(table(payments), rule_file({}, when), lists={name: iter(x) for name, x in lists.items()})
    assert alerts["transaction_id"].to_pylist() == hits
    measured = expected_alerts(table(payments), rule_file(count(where=when), "true"), lists=lists)["measures"]
    assert json.loads(measured.to_pylist()[-1])["n"] == len(hits)


@pytest.mark.parametrize(
    "condition",
    [
        "(5 / 0) is null",
        "(amount_minor / (amount_minor - 100)) is null",
        "(0.0 / 0.0) is null",
        "(5 % 0) is null",
        "not coalesce(amount_minor / 0 > 1, false)",
        "7 / 2 = 3.5",
        "-7 % 3 = -1",
        "0.1 + 0.2 > 0.3",  # doubles, not decimals
        "2000000000 + 2000000000 = 4000000000",
        "amount_minor * 0.5 = 50 and amount_minor > 1e-3",
        "left(card_bin, 4) = '4000' and right(card_bin, 2) = '00'",
        "merchant_category_code like '54__' and merchant_id not in ('0.5', '7')",
        "case when amount_minor between 99 and 101 then abs(-2) else 0 end = greatest(1, 2)",
    ],
)
def test_calculations(rule_file: RuleFile, condition: str) -> None:
    assert raised([payment("a", 0)], rule_file({}, condition)) == ["a"]


@pytest.mark.parametrize(
    "document", ["- {id: r, scope: card, when: n = 1, measures: {n: {window: 1s, is: count( * )}}}"]
)
@pytest.mark.parametrize("head", ["", "rules:\n"])
def test_rules_may_be_at_the_top_level_or_under_rules(tmp_path: Path, head: str, document: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(head + document)
    assert expected_alerts(table([payment("a", 0)]), file).select(["rule_version", "transaction_id"]).to_pylist() == [
        {"rule_version": 1, "transaction_id": "a"}
    ]


def test_a_rule_may_have_no_measures_and_an_explanation(rule_file: RuleFile, tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text("- {id: r, scope: card, title: t, explanation: Why., when: country = 'DE'}")
    alerts = expected_alerts(table([payment("a", 0), payment("b", 1, country="FR")]), file)
    assert alerts.select(["transaction_id", "measures"]).to_pylist() == [{"transaction_id": "a", "measures": "{}"}]


def test_when_sees_fields_and_measures_of_several_windows(rule_file: RuleFile) -> None:
    # a . . . . b c           long window 10 s: 1 2 3, short window 2 s: 1 1 2
    payments = [payment("a", 0), payment("b", 5 * SECOND), payment("c", 6 * SECOND, country="FR")]
    measures = {"long": {"window": "10s", "is": "count(*)"}, "short": {"window": "2s", "is": "count(*)"}}
    assert raised(payments, rule_file(measures, "long > short and country = 'FR'")) == ["c"]
    assert raised(payments, rule_file(measures, "long = short -- both")) == ["a"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("24h", 86_400), ("7d", 604_800)])
def test_units_of_windows(rule_file: RuleFile, text: str, seconds: int) -> None:
    payments = [payment("a", 0), payment("b", seconds * SECOND - 1), payment("c", seconds * SECOND)]
    assert values(payments, rule_file(count(text), "n >= 1")) == {"a": 1, "b": 2, "c": 2}


def test_paused_rules_expect_nothing_and_shadow_rules_do(rule_file: RuleFile) -> None:
    assert raised([payment("a", 0)], rule_file(count(), "n >= 1", mode="paused")) == []
    assert raised([payment("a", 0)], rule_file(count(), "n >= 1", mode="shadow")) == ["a"]


def test_an_alert_names_its_rule_and_has_the_agreed_identity(rule_file: RuleFile) -> None:
    alerts = expected_alerts(table([payment("t-1", 0)]), rule_file(count(), "n >= 1", id="velocity", version=7), None)
    assert alerts.schema == EXPECTED_ALERTS
    assert alerts.to_pylist() == [
        {
            "rule_id": "velocity",
            "rule_version": 7,
            "scope": "card",
            "key": "c1",
            "transaction_id": "t-1",
            "event_time": NOON,
            "measures": '{"n": 1}',
            "alert_id": str(uuid5(UUID("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11"), "velocity|7|t-1")),
            "status": "raised",
            "suppressed_by": None,
        }
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        (12_345, "EUR", 12_345),
        (10_000, "USD", 8_650),
        (1, "USD", 1),  # 0.865 cents
        (100, "JPY", 61),  # 61.3 cents
        (500, "JPY", 307),  # 306.5 cents: half up
        (1_000, "KWD", 281),  # 281.25 cents
        (2_000, "KWD", 563),  # 562.5 cents: half up
        (9_000_000_000_000_000_000, "EUR", 9_000_000_000_000_000_000),
    ],
)
def test_amounts_convert_exactly_half_up(
    rule_file: RuleFile, rates: Path, amount: int, currency: str, cents: int
) -> None:
    rules = rule_file({"n": {"window": "1s", "is": "sum(base_amount_minor)"}}, f"n = {cents}")
    assert raised([payment("a", 0, amount_minor=amount, currency=currency)], rules, rates) == ["a"]


def test_a_currency_without_a_rate_is_not_silently_left_out(rule_file: RuleFile, rates: Path) -> None:
    with pytest.raises(OracleError, match="no rate for XYZ"):
        raised([payment("a", 0, currency="XYZ")], rule_file(count(), "n >= 1"), rates)


def test_an_enriched_amount_is_taken_as_it_is(rule_file: RuleFile, rates: Path) -> None:
    payments = table([payment("a", 0) | {"base_amount_minor": 7}], base_amount_minor=pa.int64())
    rules = rule_file({"n": {"window": "1s", "is": "max(base_amount_minor)"}}, "n = 7")
    assert expected_alerts(payments, rules, rates).num_rows == 1


def test_hour_and_weekday_are_those_of_utc(rule_file: RuleFile) -> None:
    day = 86_400 * SECOND
    payments = [payment("tue", 0), payment("sun", 5 * day), payment("mon", 5 * day + 12 * 3_600 * SECOND)]
    assert raised(payments, rule_file(count(), "day_of_week = 2 and hour_of_day = 12")) == ["tue"]
    assert raised(payments, rule_file(count(), "day_of_week = 7")) == ["sun"]
    assert raised(payments, rule_file(count(), "day_of_week = 1 and hour_of_day = 0")) == ["mon"]


def test_groups_and_countries_are_looked_up(rule_file: RuleFile, tmp_path: Path) -> None:
    groups, bins = tmp_path / "groups.csv", tmp_path / "bins.csv"
    groups.write_text("first,last,group\n5400,5499,groceries\n7995,7995,gambling\n")
    bins.write_text("bin,country\n400000,DE\n40000012,FR\n")
    payments = [
        payment("a", 0, card_bin="40000012"),
        payment("b", 1, merchant_category_code="5499", card_bin="40000013"),
        payment("c", 2, merchant_category_code="5500", card_bin="999999"),
    ]

    def raised_when(when: str) -> list[Any]:
        rules = rule_file(count(), when)
        return expected_alerts(table(payments), rules, None, category_groups_file=groups, bin_countries_file=bins)[
            "transaction_id"
        ].to_pylist()

    assert raised_when("merchant_category_group = 'groceries'") == ["a", "b"]
    assert raised_when("merchant_category_group = 'other'") == ["c"]
    assert raised_when("bin_country = 'FR'") == ["a"]
    assert raised_when("bin_country = 'DE'") == ["b"]
    assert raised_when("bin_country is null") == ["c"]


@pytest.mark.parametrize(
    ("field", "missing"),
    [
        ("base_amount_minor > 1", "base_amount_minor"),
        ("merchant_category_group = 'x'", "merchant_category_group"),
        ("bin_country = 'DE'", "bin_country"),
        ("colour = 'red'", "colour"),
    ],
)
def test_an_absent_field_is_named(rule_file: RuleFile, field: str, missing: str) -> None:
    with pytest.raises(OracleError, match=missing):
        raised([payment("a", 0)], rule_file(count(), field))


def test_a_name_within_a_literal_is_not_a_field(rule_file: RuleFile) -> None:
    assert raised([payment("a", 0)], rule_file(count(), "country <> 'bin_country'")) == ["a"]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"scope": "planet"}, "scope"),
        ({"when": "n >="}, "when is not an SQL expression"),
        ({"when": "1 = 1); (select 1"}, "when"),
        ({"measures": {"n": {"window": "10 parsecs", "is": "count(*)"}}}, "10 parsecs"),
        ({"measures": {"n": {"window": "10s", "is": "median(amount_minor)"}}}, "median"),
        ({"measures": {"n": {"window": "10s", "is": "sum(*)"}}}, r"sum\(\*\)"),
        ({"measures": {"n": {"window": "10s", "is": "count(amount_minor)"}}}, r"count\(amount_minor\)"),
        ({"measures": {"country": {"window": "10s", "is": "count(*)"}}, "when": "country > 1"}, "another"),
        ({"when": "n > (select count(*) from read_csv('/etc/hostname'))"}, "cannot be evaluated"),
        ({"measures": {"n": {"window": "10s", "is": "speed_kmh(amount_minor)"}}}, r"speed_kmh\(amount_minor\)"),
        ({"measures": {"n": {"window": "10s", "is": "previous(*)"}}}, r"previous\(\*\)"),
        ({"measures": {"n": {"window": "10s", "is": "first(distinct country)"}}}, "distinct country"),
        ({"measures": {"n": {"window": "10s", "is": "first(colour)"}}}, "colour"),
        ({"mode": "asleep"}, "asleep"),
        ({"version": "one"}, "version"),
    ],
)
def test_a_wrong_rule_is_refused_with_one_sentence(rule_file: RuleFile, rule: dict[str, Any], named: str) -> None:
    arguments: dict[str, Any] = {"measures": count(), "when": "n >= 1"} | rule
    with pytest.raises(OracleError, match=named) as refused:
        raised([payment("a", 0)], rule_file(**arguments))
    assert "\n" not in str(refused.value)


def test_event_time_may_be_a_timestamp(rule_file: RuleFile) -> None:
    payments = table([payment("a", 1), payment("b", 10 * SECOND)])
    index = payments.column_names.index("event_time")
    stamped = payments.set_column(index, "event_time", payments["event_time"].cast(pa.timestamp("us", tz="UTC")))
    rules = rule_file(count(), "n >= 2")
    assert expected_alerts(stamped, rules, None).equals(expected_alerts(payments, rules, None))


def test_windows_measure_every_transaction() -> None:
    # 10  20          40       window 10 s
    # 0s  1s        10.5s
    payments = [
        payment("a", 0, amount_minor=10),
        payment("b", SECOND, amount_minor=20),
        payment("c", 10_500_000, amount_minor=40),
        payment("x", SECOND, amount_minor=1_000, card_token="c2"),
    ]
    assert windows(table(payments), "card_token", 10 * SECOND, "amount_minor").to_pylist() == [
        {"transaction_id": "a", "n": 1, "sum": 10, "mean": 10.0},
        {"transaction_id": "b", "n": 2, "sum": 30, "mean": 15.0},
        {"transaction_id": "c", "n": 2, "sum": 60, "mean": 30.0},
        {"transaction_id": "x", "n": 1, "sum": 1_000, "mean": 1_000.0},
    ]
