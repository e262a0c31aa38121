"""What a good message becomes."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from cardwatch_contracts.cards import tokenise
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.wire import Encoder
from cardwatch_enricher.countries import COUNTRY_CODES
from cardwatch_enricher.enrich import Enricher
from cardwatch_enricher.message import Enriched
from cardwatch_enricher.tables import read_bin_countries, read_exchange_rates, read_merchant_category_groups
from cardwatch_enricher.validate import CHANNELS, STATUSES, TRANSACTION_TYPES
from cardwatch_service.token_settings import TokenSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RATES = read_exchange_rates()
GROUPS = read_merchant_category_groups()
BINS = read_bin_countries()
ENRICHER = Enricher(RATES, GROUPS, BINS)

# Silver is decoded by others: what cannot be encoded must not be called good.
encode_silver = Encoder("enriched_transaction", 9)


def enriched(pipeline: Any, message: Any) -> dict[str, Any]:
    outcome = pipeline(message)
    assert isinstance(outcome, Enriched), outcome
    assert outcome.key == outcome.record["card_token"].encode()
    encode_silver(outcome.record)
    return outcome.record


def test_an_avro_transaction_passes_as_it_is_and_gains_fields(make: Any, pipeline: Any) -> None:
    record = make.transaction(currency="USD", amount_minor=10_000, card_bin="400020")
    silver = enriched(pipeline, make.avro(record))
    added = {name: value for name, value in silver.items() if name not in record}
    assert {name: silver[name] for name in record} == record
    assert added.pop("enriched_at") > 0
    assert added == {
        "base_currency": "EUR",
        "base_amount_minor": 8_650,
        "merchant_category_group": "groceries",
        "bin_country": "CH",
        "hour_of_day": 23,
        "day_of_week": 2,
        "raw_topic": "transactions.raw.v1",
        "raw_partition": 1,
        "raw_offset": 42,
        "raw_broker_time": make.received_at,
    }


def test_a_json_transaction_becomes_the_same_as_the_avro_one_with_the_cards_token(make: Any, pipeline: Any) -> None:
    identity = tokenise(make.card_number, TokenSettings().key_bytes())
    from_json = enriched(pipeline, make.json(make.document()))
    from_avro = enriched(pipeline, make.avro(make.transaction(**identity._asdict(), card_token_key_id="dev-1")))
    for silver in (from_json, from_avro):
        for field in ("raw_topic", "raw_partition", "raw_offset", "enriched_at"):
            del silver[field]
    assert from_json == from_avro


@pytest.mark.parametrize("card_number", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"])
def test_a_card_number_has_one_token_however_it_is_written(make: Any, pipeline: Any, card_number: str) -> None:
    silver = enriched(pipeline, make.json(make.document(card_number=card_number)))
    assert (silver["card_bin"], silver["card_last_four"]) == ("411111", "1111")
    assert silver["card_token"] == tokenise("4111111111111111", TokenSettings().key_bytes()).card_token


def test_json_may_bring_tokens_and_leave_out_what_has_a_default(make: Any, pipeline: Any) -> None:
    document = make.transaction()
    for field in ("transaction_type", "status", "device_id", "ip_address", "latitude", "longitude"):
        del document[field]
    silver = enriched(pipeline, make.json(document))
    assert {name: silver[name] for name in make.transaction()} == make.transaction()


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T23:59:59Z", "2026-11-25T00:59:59+01:00", "2026-11-24T23:59:59.000000+00:00", "20261124T235959Z"],
)
def test_json_may_write_event_time_as_iso_8601(make: Any, pipeline: Any, text: str) -> None:
    silver = enriched(pipeline, make.json(make.document(event_time=text)))
    assert silver["event_time"] == make.received_at - 1_000_000


def test_json_may_write_whole_degrees(make: Any, pipeline: Any) -> None:
    silver = enriched(pipeline, make.json(make.document(latitude=52, longitude=-13)))
    assert (silver["latitude"], silver["longitude"]) == (52.0, -13.0)


optional_text = st.none() | st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
valid = st.fixed_dictionaries(
    {
        "transaction_id": st.from_regex(r"[A-Za-z]{1,4}-[0-9]{1,9}", fullmatch=True),
        "event_time": st.integers(946_684_800_000_000, 1_795_564_860_000_000),
        "card_token": st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        "card_bin": st.from_regex(r"[0-9]{6,8}", fullmatch=True),
        "card_last_four": st.from_regex(r"[0-9]{4}", fullmatch=True),
        "amount_minor": st.integers(0, 10**12),
        "currency": st.sampled_from(sorted(RATES.rates)),
        "merchant_id": st.from_regex(r"m[!-~]{0,9}", fullmatch=True),
        "merchant_category_code": st.from_regex(r"[0-9]{4}", fullmatch=True),
        "country": st.sampled_from(sorted(COUNTRY_CODES)),
        "channel": st.sampled_from(sorted(CHANNELS)),
        "transaction_type": st.sampled_from(sorted(TRANSACTION_TYPES)),
        "status": st.sampled_from(sorted(STATUSES)),
        "device_id": optional_text,
        "ip_address": st.none() | st.ip_addresses().map(str),
    }
)


@given(changes=valid, place=st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_valid_transaction_is_never_refused(make: Any, pipeline: Any, changes: Any, place: Any) -> None:
    if place is not None:
        changes = {**changes, "latitude": place[0], "longitude": place[1]}
    record = make.transaction(**changes)
    enriched(pipeline, make.avro(record))
    enriched(pipeline, make.json(record))


@given(
    amount=st.integers(0, 10**12),
    currency=st.sampled_from(sorted(RATES.rates)),
)
def test_amounts_are_exact_and_rounded_half_up(amount: int, currency: str) -> None:
    rate = RATES.rates[currency]
    exact = Fraction(amount * rate.rate_e8, 10**8) * Fraction(10**RATES.base_exponent, 10**rate.exponent)
    assert ENRICHER.base_amount_minor(amount, currency) == floor(exact + Fraction(1, 2))


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
    assert ENRICHER.base_amount_minor(amount, currency) == base


@given(moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_hour_and_weekday_are_those_of_the_calendar(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    record = {"event_time": (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
              "amount_minor": 1, "currency": "EUR", "merchant_category_code": "0000", "card_bin": "999999"}  # fmt: skip
    source = type("Source", (), {"topic": "t", "partition": 0, "offset": 0})()
    silver = ENRICHER(record, source, 0, 0)
    assert (silver["hour_of_day"], silver["day_of_week"]) == (moment.hour, moment.isoweekday())
    assert silver["bin_country"] is None


def test_the_tables_that_come_with_the_service() -> None:
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
