"""Two token keys: both tokens in silver, in the order of the event time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.reasons import Reason
from cardwatch_enricher.bootstrap import build_pipeline
from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.startup import Settings
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.token_settings import TokenSettings
from cardwatch_units.timestamps import to_microseconds
from pydantic import SecretStr

K1, K2 = bytes(range(32)), bytes(range(100, 132))
SWITCH = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE, AFTER = (to_microseconds(SWITCH) - 1, to_microseconds(SWITCH))


@pytest.fixture
def rotating(registry: Any) -> Pipeline:
    tokens = TokenSettings(
        key=SecretStr(K1.hex()), key_id="k1", next_key=SecretStr(K2.hex()), next_key_id="k2", next_from=SWITCH.date()
    )
    return build_pipeline(Settings(ServiceSettings(), EnricherSettings(), tokens), registry, Metrics())


def tokens_of(outcome: Any) -> tuple[Any, ...]:
    assert isinstance(outcome, Enriched), outcome
    record = outcome.record
    assert outcome.key == record["card_token"].encode(), "the message's key is the card's token"
    names = ("card_token", "card_token_key_id", "other_card_token", "other_card_token_key_id")
    return tuple(record[name] for name in names)


@pytest.mark.parametrize("at", [BEFORE, AFTER])
def test_a_card_number_gets_both_tokens_and_the_event_time_decides_which_is_the_cards(
    make: Any, rotating: Pipeline, at: int
) -> None:
    old, new = (tokenise(make.card_number, key).card_token for key in (K1, K2))
    expected = (old, "k1", new, "k2") if at == BEFORE else (new, "k2", old, "k1")
    assert tokens_of(rotating(make.json(make.document(event_time=at)))) == expected
    # Whoever tokenises by itself may send both, in any order.
    for own, other in (((old, "k1"), (new, "k2")), ((new, "k2"), (old, "k1"))):
        sent = make.transaction(
            event_time=at, card_token=own[0], card_token_key_id=own[1], other_card_token=other[0],
            other_card_token_key_id=other[1],
        )  # fmt: skip
        assert tokens_of(rotating(make.avro(sent))) == expected


@pytest.mark.parametrize("at", [BEFORE, AFTER])
def test_a_transaction_with_one_token_keeps_it(make: Any, rotating: Pipeline, at: int) -> None:
    sent = make.transaction(event_time=at, card_token="a" * 32, card_token_key_id="k1")
    assert tokens_of(rotating(make.avro(sent))) == ("a" * 32, "k1", None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"other_card_token": "b" * 32},
        {"other_card_token_key_id": "k2"},
        {"other_card_token": "B" * 32, "other_card_token_key_id": "k2"},
        {"other_card_token": "b" * 31, "other_card_token_key_id": "k2"},
        {"other_card_token": "b" * 32, "other_card_token_key_id": ""},
        {"other_card_token": "b" * 32, "other_card_token_key_id": "dev-1"},
    ],
)
def test_a_wrong_other_token_is_refused(make: Any, rotating: Pipeline, wrong: dict[str, Any]) -> None:
    outcome: Any = rotating(make.avro(make.transaction(**wrong)))
    assert outcome.reason is Reason.INVALID_CARD_TOKEN


def test_a_card_number_and_another_token_are_refused_as_both(make: Any, rotating: Pipeline) -> None:
    outcome: Any = rotating(make.json(make.document(other_card_token="b" * 32)))
    assert outcome.reason is Reason.UNKNOWN_FIELD
