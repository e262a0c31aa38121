"""What Polars would do otherwise: each of these differed from docs/rules.md, and from SQL, before."""

import string
from typing import Any

import polars as pl
import pytest
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.program.polars_conditions import evaluate_where

NAN = float("nan")
SMALLEST = -(2**63)


def hits(text: str, **columns: list[Any]) -> list[int]:
    schema = polars_schema()
    frame = pl.DataFrame(columns, schema={name: schema[name] for name in columns})
    return evaluate_where(text, frame).arg_true().to_list()


def test_integers_have_64_bits_whatever_the_column_has() -> None:
    assert polars_schema()["hour_of_day"] == pl.Int32()
    assert hits("hour_of_day * 1000000000 = 23000000000", hour_of_day=[22, 23, None]) == [1]
    assert hits("day_of_week + 2147483647 > 0 and -day_of_week < 0", day_of_week=[1, None, 7]) == [0, 2]
    assert hits("2147483647 + 1 > 0", hour_of_day=[1, 2]) == [0, 1]


def test_remainder_has_the_sign_of_the_dividend_for_the_smallest_integer_too() -> None:
    amounts = [SMALLEST, SMALLEST + 1, -7, 7, 0]
    assert hits("amount_minor % 3 = -2", amount_minor=amounts) == [0]
    assert hits("amount_minor % -3 = -1", amount_minor=amounts) == [1, 2]
    assert hits("amount_minor % -1 = 0", amount_minor=amounts) == [0, 1, 2, 3, 4]
    assert hits("(7 % amount_minor) is null", amount_minor=amounts) == [4]


def test_division_by_a_constant_is_a_division() -> None:
    amounts = [2147483647, 5, 6]
    quotients = " or ".join(f"amount_minor / 3 = {amount / 3!r}" for amount in amounts)
    assert hits(quotients, amount_minor=amounts) == [0, 1, 2]
    assert hits("amount_minor / length('abc') = 715827882.3333334", amount_minor=amounts) == [0]


def test_nan_is_the_largest_number_everywhere() -> None:
    values = {"latitude": [NAN, 1.0, None, NAN], "longitude": [1.0, NAN, NAN, None]}
    assert hits("greatest(latitude, longitude) > 1e308", **values) == [0, 1, 2, 3]
    assert hits("least(latitude, longitude) = 1", **values) == [0, 1]
    assert hits("latitude = greatest(latitude, 1e999)", **values) == [0, 3]
    assert hits("latitude > 1e999", **values) == [0, 3]


@pytest.mark.parametrize("sign", ["é", "\n", "\t", "\x85", *(sign for sign in string.punctuation if sign not in "%_'")])
def test_every_sign_of_a_pattern_stands_for_itself(sign: str) -> None:
    countries = [f"a{sign}b", "ab", "a", "b", f"xa{sign}b", f"a{sign}{sign}b", None]
    assert hits(f"country like 'a{sign}b'", country=countries) == [0]
    assert hits(f"country like '%a{sign}_'", country=countries) == [0, 4]
