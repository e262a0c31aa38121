"""The oracle against a quadratic loop in plain Python, and its framed SQL against a self-join on larger data."""

import json
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from cardwatch_oracle import expected_alerts
from hypothesis import given, settings
from hypothesis import strategies as st

Row = dict[str, Any]
TYPES: dict[str, pa.DataType] = {
    "transaction_id": pa.string(),
    "event_time": pa.int64(),
    "card_token": pa.string(),
    "merchant_id": pa.string(),
    "amount_minor": pa.int64(),
    "country": pa.string(),
    "status": pa.string(),
}
SCHEMA = pa.schema(TYPES)

# The same condition twice: as a rule says it, and as Python with None for unknown.
WHERES: dict[str, Callable[[Row], bool | None]] = {
    "true": lambda row: True,
    "status = 'declined'": lambda row: row["status"] == "declined",
    "country <> 'DE'": lambda row: None if row["country"] is None else row["country"] != "DE",
    "amount_minor between 2 and 4": lambda row: 2 <= row["amount_minor"] <= 4,
}
FUNCTIONS: dict[str, Callable[[list[Row]], float | None]] = {
    "count(*)": lambda rows: len(rows),
    "count(distinct country)": lambda rows: len({row["country"] for row in rows} - {None}),
    "count(distinct merchant_id)": lambda rows: len({row["merchant_id"] for row in rows}),
    "sum(amount_minor)": lambda rows: sum(row["amount_minor"] for row in rows) if rows else None,
    "mean(amount_minor)": lambda rows: sum(row["amount_minor"] for row in rows) / len(rows) if rows else None,
    "min(amount_minor)": lambda rows: min((row["amount_minor"] for row in rows), default=None),
    "max(amount_minor)": lambda rows: max((row["amount_minor"] for row in rows), default=None),
}

rows = st.fixed_dictionaries(
    {
        # Few seconds and microseconds, so that ties and the edges of windows are common.
        "event_time": st.builds(
            lambda s, us: s * 1_000_000 + us, st.integers(0, 12), st.sampled_from([0, 0, 1, 999_999])
        ),
        "card_token": st.sampled_from(["c1", "c2"]),
        "merchant_id": st.sampled_from(["m1", "m2", "m3"]),
        "amount_minor": st.integers(0, 6),
        "country": st.sampled_from(["DE", "FR", "IT", None]),
        "status": st.sampled_from(["approved", "declined"]),
    }
)


KEYS = {"card": "card_token", "merchant": "merchant_id"}
MEASURES = {f"n{number}": pair for number, pair in enumerate(product(FUNCTIONS, WHERES))}


def brute_force(transactions: list[Row], key: str, window_us: int) -> dict[str, Row]:
    """Every measure of each transaction, from the definition."""
    found = {}
    for now in transactions:
        window = [
            row
            for row in transactions
            if row[key] == now[key] and now["event_time"] - window_us < row["event_time"] <= now["event_time"]
        ]
        found[now["transaction_id"]] = {
            name: FUNCTIONS[function]([row for row in window if WHERES[where](row)])
            for name, (function, where) in MEASURES.items()
        }
    return found


def oracle(transactions: list[Row], rules: list[Row]) -> dict[str, dict[str, Row]]:
    """Measures by rule and raised transaction."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yaml"
        file.write_text(json.dumps({"rules": rules}))  # JSON is YAML
        alerts = expected_alerts(pa.Table.from_pylist(transactions, schema=SCHEMA), file, None).to_pylist()
    assert len({alert["alert_id"] for alert in alerts}) == len(alerts)
    found: dict[str, dict[str, Row]] = {rule["id"]: {} for rule in rules}
    for alert in alerts:
        found[alert["rule_id"]][alert["transaction_id"]] = json.loads(alert["measures"])
    return found


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(rows, min_size=1, max_size=40),
    seed=st.integers(0, 2**16),
    scope=st.sampled_from(list(KEYS)),
    seconds=st.integers(1, 8),
    chosen=st.sampled_from(list(MEASURES)),
    threshold=st.integers(0, 8),
)
def test_oracle_equals_the_definition_spelled_out(
    drawn: list[Row], seed: int, scope: str, seconds: int, chosen: str, threshold: int
) -> None:
    transactions = [{"transaction_id": f"t{position}", **row} for position, row in enumerate(drawn)]
    chance = random.Random(seed)
    arrivals = [*transactions, *chance.choices(transactions, k=len(transactions) // 4)]
    chance.shuffle(arrivals)
    every = {
        "id": "every",
        "version": 1,
        "scope": scope,
        "measures": {
            name: {"window": f"{seconds}s", "is": function, "where": where}
            for name, (function, where) in MEASURES.items()
        },
        "when": "true",
    }
    some = every | {"id": "some", "when": f"{chosen} >= {threshold}"}
    found = oracle(arrivals, [every, some])

    measured = brute_force(transactions, KEYS[scope], seconds * 1_000_000)
    assert found["every"] == measured
    assert found["some"] == {
        transaction_id: values
        for transaction_id, values in measured.items()
        if values[chosen] is not None and values[chosen] >= threshold
    }


def test_framed_distinct_equals_a_self_join_where_windows_are_large() -> None:
    # DuckDB evaluates `count(DISTINCT …) FILTER (…) OVER (… RANGE …)` with a merge-sort tree over whole partitions:
    # small data never builds more than a leaf of it, so this has partitions of some thousand rows.
    chance = random.Random(20261124)
    transactions = [
        {
            "transaction_id": f"t{number}",
            "event_time": chance.randrange(3_600) * 1_000_000 + chance.choice([0, 1]),
            "card_token": f"c{chance.randrange(900)}",
            "merchant_id": f"m{min(chance.randrange(5), 2)}",
            "amount_minor": chance.randrange(7),
            "country": chance.choice(["DE", "FR", None]),
            "status": "approved",
        }
        for number in range(12_000)
    ]
    events = pa.Table.from_pylist(transactions, schema=SCHEMA)
    rule = {
        "id": "r",
        "version": 1,
        "scope": "merchant",
        "measures": {
            "cards": {"window": "5m", "is": "count(distinct card_token)", "where": "amount_minor < 4"},
            "mean": {"window": "5m", "is": "mean(amount_minor)", "where": "country <> 'DE'"},
        },
        "when": "true",
    }
    measured = {name: tuple(values.values()) for name, values in oracle(transactions, [rule])["r"].items()}
    with duckdb.connect() as connection:
        connection.register("events", events)
        joined = connection.execute(
            """SELECT now.transaction_id, count(DISTINCT past.card_token) FILTER (WHERE past.amount_minor < 4),
                      sum(past.amount_minor) FILTER (WHERE past.country <> 'DE')::DOUBLE
                        / count(*) FILTER (WHERE past.country <> 'DE')
               FROM events now JOIN events past ON past.merchant_id = now.merchant_id
                AND past.event_time > now.event_time - 300000000 AND past.event_time <= now.event_time
               GROUP BY 1"""
        ).fetchall()
    assert len(measured) == 12_000
    assert max(cards for cards, _ in measured.values()) > 200
    assert measured == {name: (cards, mean) for name, cards, mean in joined}
