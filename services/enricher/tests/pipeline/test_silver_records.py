"""The silver records of valid messages."""

from typing import Any

import pytest
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.values import CHANNELS, STATUSES, TRANSACTION_TYPES
from cardwatch_contracts.wire import Encoder
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_reference.countries import COUNTRY_CODES
from cardwatch_reference.tables import read_exchange_rates
from cardwatch_service.token_settings import TokenSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RATES = read_exchange_rates()

# Other services decode silver: a record that cannot be encoded must not be accepted.
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
    assert (record["other_card_token"], record["other_card_token_key_id"]) == (None, None)
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
