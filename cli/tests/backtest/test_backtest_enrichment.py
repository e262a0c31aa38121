"""Fields derived by columns equal those derived one by one."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from cardwatch_cli.backtest.enrichment import NEEDS, enrich
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_reference.settings import ReferenceSettings

DERIVE = ReferenceSettings().derivation()


def transactions(number: int = 2_000) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    latest = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "event_time": draw.integers(946_684_800_000_000, latest, number),
            "amount_minor": np.r_[draw.integers(0, 10**6, number - 2), 0, 10**12],
            "currency": draw.choice(sorted(DERIVE.currencies), number),
            "merchant_category_code": [f"{code:04d}" for code in draw.integers(0, 10_000, number)],
            "card_bin": draw.choice(["400000", "40002299", "999999"], number),
        }
    )


def test_columns_are_derived_as_the_enricher_does() -> None:
    frame = transactions()
    found = enrich(frame, NEEDS, DERIVE)
    assert found.select(frame.columns).equals(frame)
    expected = [DERIVE(row) for row in frame.iter_rows(named=True)]
    for name in NEEDS:
        assert found[name].to_list() == [one[name] for one in expected]
    assert found.schema["base_amount_minor"] == pl.Int64()
    assert found.schema["hour_of_day"] == found.schema["day_of_week"] == pl.Int32()


def test_only_what_is_asked_for_is_derived() -> None:
    frame = transactions(10).select("event_time")
    assert enrich(frame, {"hour_of_day"}, DERIVE).columns == ["event_time", "hour_of_day"]


def test_transactions_that_the_enricher_would_refuse_are_reported() -> None:
    frame = transactions(10)
    with pytest.raises(ConfigurationError, match="no exchange rate for the currency 'XXX'"):
        enrich(frame.with_columns(currency=pl.lit("XXX")), NEEDS, DERIVE)
    with pytest.raises(ConfigurationError, match="merchant_category_code: expected four digits, got '12'"):
        enrich(frame.with_columns(merchant_category_code=pl.lit("12")), NEEDS, DERIVE)
