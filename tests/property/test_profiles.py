"""The engine's profiles, computed from history, equal the oracle's."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_oracle import expected_alerts
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.parse import load_rules

DAY = 86_400_000_000
START = 1_795_478_400_000_000

RULES = """
- {id: mean, title: t, scope: card, when: base_amount_minor > 1.2 * profile.mean_amount_minor_30d}
- id: wide
  title: t
  scope: card
  when: base_amount_minor > profile.mean_amount_minor_90d + profile.stddev_amount_minor_90d
- {id: narrow, title: t, scope: card, when: profile.stddev_amount_minor_30d < 2000}
- {id: few, title: t, scope: card, when: profile.transactions_30d = 0}
- {id: many, title: t, scope: card, when: profile.transactions_90d > 5 and profile.active_days_90d <= 5}
- {id: most, title: t, scope: card, when: base_amount_minor > profile.max_amount_minor_90d}
- {id: abroad, title: t, scope: card, when: country not in profile.countries_90d, suppress: 3h}
- {id: hour, title: t, scope: card, when: hour_of_day not in profile.hours_90d}
- id: usual
  title: t
  scope: card
  measures: {n: {window: 20h, is: count(*)}}
  when: country in profile.countries_90d and n >= 2
"""


@pytest.mark.parametrize("seed", range(6))
def test_profiles_are_what_the_oracle_computes(seed: int, tmp_path: Path) -> None:
    rules_file = tmp_path / "rules.yaml"
    rules_file.write_text(RULES)
    chance = random.Random(seed)
    events = [transaction(number, chance) for number in range(500)]
    schema = {**polars_schema(), "event_time": pl.Int64}
    frame = pl.DataFrame(events, schema={name: schema[name] for name in events[0]})

    expected = {
        row["alert_id"]: row["status"] for row in expected_alerts(frame.to_arrow(), rules_file, None).to_pylist()
    }
    found = backtest(frame.lazy(), load_rules(rules_file), Period(), rows_per_chunk=100)
    observed = {
        alert_id(rule.rule_id, rule.version, row["transaction_id"]): row["status"]
        for rule, alerts in found.alerts.items()
        for row in alerts.to_dicts()
    }
    assert observed == expected
    assert all(alerts.height for alerts in found.alerts.values()), "every rule has something to say"


def transaction(number: int, chance: random.Random) -> dict[str, Any]:
    at = START + chance.choice([0, 1, 2, 29, 30, 31, 32, 60, 89, 90, 91, 92, 110, 120]) * DAY
    at += chance.choice([0, DAY - 1, chance.randrange(DAY)])
    amount = chance.randrange(10_000) if number % 3 else 3000 + chance.randrange(5)
    return {
        "transaction_id": f"t{number:04}",
        "event_time": at,
        "card_token": chance.choice("abcdefghij") if number % 3 else "k",
        "card_bin": "400000",
        "merchant_id": "m",
        "merchant_category_code": "5999",
        "country": chance.choice(["DE", "DE", "FR", "US", "AT"]),
        "channel": "pos",
        "transaction_type": chance.choice(["purchase", "purchase", "refund"]),
        "status": chance.choice(["approved", "approved", "declined"]),
        "currency": "EUR",
        "amount_minor": amount,
        "base_amount_minor": amount,
        "hour_of_day": at % DAY // 3_600_000_000,
        "day_of_week": 1,
    }
