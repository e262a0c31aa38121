"""The reference tables, and the fields that are derived with them."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_reference.countries import COUNTRY_CODES
from cardwatch_reference.derived import Derivation
from cardwatch_reference.tables import read_bin_countries, read_exchange_rates, read_merchant_category_groups
from hypothesis import given
from hypothesis import strategies as st

RATES = read_exchange_rates()
GROUPS = read_merchant_category_groups()
BINS = read_bin_countries()
DERIVE = Derivation(RATES, GROUPS, BINS)


@given(
    amount=st.integers(0, 10**12),
    currency=st.sampled_from(sorted(RATES.rates)),
)
def test_amounts_are_exact_and_rounded_half_up(amount: int, currency: str) -> None:
    rate = RATES.rates[currency]
    exact = Fraction(amount * rate.rate_e8, 10**8) * Fraction(10**RATES.base_exponent, 10**rate.exponent)
    assert DERIVE.base_amount_minor(amount, currency) == floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("amount", "currency", "base"),
    [
        (1234, "EUR", 1234),
        (0, "USD", 0),
        (1, "USD", 1),  # 0.865 cents
        (1000, "JPY", 553),  # 1,000 yen at 0.00553: 5.53 euros; yen have no minor unit
        (1000, "KWD", 282),  # 1.000 dinar at 2.815: 281.5 cents, half up; a dinar has 1,000 fils
        (10**12, "JPY", 553_000_000_000),
    ],
)
def test_amounts_by_hand(amount: int, currency: str, base: int) -> None:
    assert DERIVE.base_amount_minor(amount, currency) == base


@given(moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_hour_and_weekday_are_those_of_the_calendar(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    record = {"event_time": (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
              "amount_minor": 1, "currency": "EUR", "merchant_category_code": "0000", "card_bin": "999999"}  # fmt: skip
    derived = DERIVE(record)
    assert (derived["hour_of_day"], derived["day_of_week"]) == (moment.hour, moment.isoweekday())
    assert derived["bin_country"] is None


def test_the_tables_that_come_with_the_library() -> None:
    assert len(COUNTRY_CODES) == 249
    assert len(RATES.rates) >= 30
    assert {RATES.rates[code].exponent for code in ("JPY", "EUR", "KWD")} == {0, 2, 3}
    assert len(GROUPS) == 10_000
    assert [BINS.of(card_bin) for card_bin in ("400000", "40000099", "400022", "400037", "999999")] == [
        "DE", "DE", "US", "KR", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (lambda path: read_exchange_rates("EUR", path), "currency,rate\nEUR,1\n", "currency,exponent,rate_e8"),
        (lambda path: read_exchange_rates("EUR", path), "currency,exponent,rate_e8\nUSD,2,5\n", "base currency EUR"),
        (lambda path: read_exchange_rates("EUR", path), "currency,exponent,rate_e8\nEUR,2,1.5\n", "line 2"),
        (lambda path: read_exchange_rates("EUR", path), "currency,exponent,rate_e8\nEUR,2\n", "line 2"),
        (read_merchant_category_groups, "first,last,group\n1,9,a\n9,12,b\n", "overlaps"),
        (read_merchant_category_groups, "first,last,group\n9,1,a\n", "ascending"),
        (read_bin_countries, "bin,country\n400000,XX\n", "ISO 3166-1"),
        (read_bin_countries, "bin,country\n4000,DE\n", "6 to 8 digits"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path: Any, read: Any, text: str, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as raised:
        read(path)
    assert str(path) in str(raised.value) or "base currency" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_that_is_not_there_is_one_sentence(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_bin_countries(tmp_path / "none.csv")


def test_all_mistakes_of_a_table_are_named_at_once(tmp_path: Any) -> None:
    path = tmp_path / "table.csv"
    path.write_text("bin,country\n400000,XX\n400001,DE\n4000,DE\n400002\n")
    with pytest.raises(ConfigurationError) as raised:
        read_bin_countries(path)
    assert str(raised.value) == (
        f"{path}, line 2: expected a BIN of 6 to 8 digits and an ISO 3166-1 country code, got '400000' and 'XX'; "
        "line 4: expected a BIN of 6 to 8 digits and an ISO 3166-1 country code, got '4000' and 'DE'; "
        "line 5: expected 2 cells (bin,country), got another number of them"
    )
