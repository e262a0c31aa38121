"""The demo's rules, computed in SQL, find the simulated fraud and raise hardly any alert on ordinary traffic."""

from collections import Counter
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from cardwatch_producer.countries import countries
from cardwatch_producer.fraud import kilometres
from cardwatch_producer.simulation import Message, SimulationConfig, make_population, simulate

KEY = b"a key of the test suite"
DAY_US = 86_400_000_000
MIDNIGHT_US = 20_700 * DAY_US
PER_EUR = {c.currency: (c.units_per_eur, c.exponent) for c in countries()}

# The rules of config/rules/demo.yaml.
ALERTS = """
with measured as (select *,
  count(*)
    over (partition by card_token order by event_time range between 119999999 preceding and current row) payments,
  count(distinct case when channel = 'pos' then country end)
    over (partition by card_token order by event_time range between 1799999999 preceding and current row) countries,
  sum(case when status = 'approved' then cents end)
    over (partition by card_token order by event_time range between 599999999 preceding and current row) spent,
  max(cents)
    over (partition by card_token order by event_time range between 599999999 preceding and current row) highest,
  count(case when status = 'declined' then 1 end)
    over (partition by card_token order by event_time range between 299999999 preceding and current row) declined,
  count(distinct case when cents < 500 then card_token end)
    over (partition by merchant_id order by event_time range between 119999999 preceding and current row) cards
from transactions)
select rule, episode from (
  select 'card-velocity' as rule, * from measured where payments >= 5
  union all select 'country-hop', * from measured where countries >= 2 and channel = 'pos'
  union all select 'spending-spree', * from measured where spent > 250000 and highest > 50000
  union all select 'declines', * from measured where declined >= 3 and status = 'declined'
  union all select 'card-testing', * from measured where cards >= 8 and cents < 500
)
"""

FOUND_BY = {
    "velocity_burst": "card-velocity",
    "card_testing": "card-testing",
    "impossible_travel": "country-hop",
    "account_takeover": "spending-spree",
}


def simulated(start_us: int, seed: int, **more: Any) -> list[Message]:
    config = SimulationConfig(rate=200, seed=seed, start_us=start_us, duration_seconds=60, **more)
    return list(simulate(config, make_population(config, KEY)))


def alerts(messages: list[Message]) -> list[tuple[str, str | None]]:
    rows = []
    for message in messages:
        if message.duplicate or message.defect is not None:
            continue
        units, exponent = PER_EUR[message.record["currency"]]
        cents = round(message.record["amount_minor"] * 100 / units / 10.0**exponent)
        episode = message.label["scenario"] if message.label else None
        rows.append({**message.record, "cents": cents, "episode": episode})
    with duckdb.connect() as database:
        database.register("transactions", pa.Table.from_pylist(rows))
        return database.sql(ALERTS).fetchall()


@pytest.mark.parametrize("hour_utc", [3, 12, 20])
def test_a_minute_at_200_a_second_is_precise_and_complete(hour_utc: int) -> None:
    messages = simulated(MIDNIGHT_US + hour_utc * DAY_US // 24, hour_utc, late_fraction=0.05, duplicate_fraction=0.03)
    raised = alerts(messages)
    episodes = {m.label["scenario"] for m in messages if m.label}
    assert len(episodes) >= 15
    assert sum(episode is not None for _, episode in raised) / len(raised) >= 0.95
    found = {(rule, str(episode)) for rule, episode in raised}
    missed = [episode for episode in episodes if (FOUND_BY[episode.partition("#")[0]], episode) not in found]
    assert len(missed) / len(episodes) <= 0.05


def test_without_fraud_hardly_anything_is_raised() -> None:
    assert len(alerts(simulated(MIDNIGHT_US, 4, fraud_fraction=0.0))) <= 1


@cache
def much_fraud() -> list[Message]:
    return simulated(MIDNIGHT_US + DAY_US // 2, 5, fraud_fraction=0.1)


def episodes_of(kind: str) -> dict[str, list[Message]]:
    result: dict[str, list[Message]] = {}
    for message in much_fraud():
        if message.episode is not None and message.episode.startswith(kind):
            result.setdefault(message.episode, []).append(message)
    assert len(result) >= 3
    return result


def seconds_of(messages: list[Message]) -> float:
    times: list[int] = [m.record["event_time"] for m in messages]
    return (max(times) - min(times)) / 1_000_000


def test_a_velocity_burst_is_six_to_ten_payments_of_one_card_within_a_minute() -> None:
    for messages in episodes_of("velocity_burst").values():
        assert len({m.record["card_token"] for m in messages}) == 1
        assert 6 <= len(messages) <= 10
        assert seconds_of(messages) <= 61


def test_card_testing_is_many_cards_with_small_amounts_at_one_merchant_most_declined() -> None:
    declined = Counter[str]()
    for messages in episodes_of("card_testing").values():
        assert len({m.record["merchant_id"] for m in messages}) == 1
        assert 10 <= len({m.record["card_token"] for m in messages}) == len(messages) <= 20
        for message in messages:
            units, exponent = PER_EUR[message.record["currency"]]
            assert message.record["amount_minor"] / units / 10.0**exponent < 4.5
            declined[message.record["status"]] += 1
    assert declined["declined"] > 2 * declined["approved"]


def test_impossible_travel_labels_the_payments_far_away_only() -> None:
    places = {c.code: c for c in countries()}
    for messages in episodes_of("impossible_travel").values():
        own, *copies = sorted(messages, key=lambda m: m.record["event_time"])
        assert own.label is None
        assert all(m.label is not None and m.label["is_fraud"] for m in copies)
        for copy in copies:
            assert copy.record["channel"] == own.record["channel"] == "pos"
            assert copy.record["card_token"] == own.record["card_token"]
            assert kilometres(places[own.record["country"]], places[copy.record["country"]]) > 3_000


def test_an_account_takeover_spends_more_than_2500_euros_online_within_minutes() -> None:
    for messages in episodes_of("account_takeover").values():
        spent = 0.0
        for message in messages:
            units, exponent = PER_EUR[message.record["currency"]]
            spent += message.record["amount_minor"] / units / 10.0**exponent
            assert message.record["channel"] in ("ecom", "moto")
            assert message.record["status"] == "approved"
        assert spent > 3_000
        assert seconds_of(messages) <= 181
