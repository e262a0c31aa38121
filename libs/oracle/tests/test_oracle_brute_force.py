"""The oracle against a quadratic loop in plain Python, and its framed SQL against a self-join on larger data."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from cardwatch_oracle import expected_alerts
from hypothesis import given
from hypothesis import strategies as st
from support.random_examples import random_examples

Row = dict[str, Any]
TYPES: dict[str, pa.DataType] = {
    "transaction_id": pa.string(),
    "event_time": pa.int64(),
    "card_token": pa.string(),
    "merchant_id": pa.string(),
    "card_bin": pa.string(),
    "device_id": pa.string(),
    "amount_minor": pa.int64(),
    "country": pa.string(),
    "status": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
}
SCHEMA = pa.schema(TYPES)
LISTS = {"watched": ["d1", "d'3"], "empty": []}


def compared(value: Any, holds: Callable[[Any], bool]) -> bool | None:
    """A comparison with null is null."""
    return None if value is None else holds(value)


# The same condition twice: as a rule says it, and as Python with None for unknown.
WHERES: dict[str, Callable[[Row], bool | None]] = {
    "true": lambda row: True,
    "status = 'declined'": lambda row: row["status"] == "declined",
    "country <> 'DE'": lambda row: compared(row["country"], lambda value: value != "DE"),
    "amount_minor between 2 and 4": lambda row: compared(row["amount_minor"], lambda value: 2 <= value <= 4),
    "12 / (amount_minor - 2) > 3.5": lambda row: compared(
        row["amount_minor"], lambda value: value != 2 and 12 / (value - 2) > 3.5
    ),
    "(amount_minor - 3) % 2 = -1": lambda row: compared(
        row["amount_minor"], lambda value: math.fmod(value - 3, 2) == -1
    ),
    "amount_minor % 0 is null": lambda row: True,
    "device_id in list('watched')": lambda row: compared(row["device_id"], lambda value: value in ("d1", "d'3")),
    "device_id not in list('watched')": lambda row: compared(row["device_id"], lambda value: value == "d2"),
    "device_id not in list('empty')": lambda row: compared(row["device_id"], lambda value: True),
    "coalesce(device_id in list('unknown'), true)": lambda row: row["device_id"] is None,
}


def order(row: Row) -> tuple[int, str]:
    return row["event_time"], row["transaction_id"]


def known(rows: list[Row], field: str) -> list[Any]:
    return [row[field] for row in rows if row[field] is not None]


def mean(rows: list[Row]) -> float | None:
    values = known(rows, "amount_minor")
    return sum(values) / len(values) if values else None


def stddev(rows: list[Row]) -> float | None:
    values = known(rows, "amount_minor")
    n = len(values)
    if n < 2:
        return None
    return math.sqrt(float(n * sum(value * value for value in values) - sum(values) ** 2) / float(n * (n - 1)))


def ratio(rows: list[Row], now: Row) -> float | None:
    average = mean(rows)
    return None if now["amount_minor"] is None or not average else now["amount_minor"] / average


def previous(rows: list[Row], now: Row, *fields: str) -> Row | None:
    seen = [row for row in rows if order(row) < order(now) and all(row[field] is not None for field in fields)]
    return seen[-1] if seen else None


def value_of_previous(rows: list[Row], now: Row, field: str) -> Any:
    row = previous(rows, now, field)
    return row and row[field]


def seconds(rows: list[Row], now: Row) -> float | None:
    row = previous(rows, now)
    return row and (now["event_time"] - row["event_time"]) / 1_000_000


def distance(rows: list[Row], now: Row) -> float | None:
    """By the law of haversines, written down another way than in SQL: half the chord between two unit vectors."""
    row = previous(rows, now, "latitude", "longitude")
    if row is None or now["latitude"] is None or now["longitude"] is None:
        return None

    def vector(at: Row) -> tuple[float, float, float]:
        latitude, longitude = math.radians(at["latitude"]), math.radians(at["longitude"])
        flat = math.cos(latitude)
        return flat * math.cos(longitude), flat * math.sin(longitude), math.sin(latitude)

    half_chord = math.dist(vector(row), vector(now)) / 2
    return round(2 * 6371.0088 * math.asin(min(1.0, half_chord)), 3)


def speed(rows: list[Row], now: Row) -> float | None:
    row, kilometres = previous(rows, now, "latitude", "longitude"), distance(rows, now)
    if row is None or kilometres is None:
        return None
    return kilometres / (max(now["event_time"] - row["event_time"], 1_000_000) / 3_600_000_000)


# Value from the rows that the measure looks at, in order, and from the row that is evaluated.
FUNCTIONS: dict[str, Callable[[list[Row], Row], Any]] = {
    "count(*)": lambda rows, now: len(rows),
    "count(distinct country)": lambda rows, now: len(set(known(rows, "country"))),
    "count(distinct merchant_id)": lambda rows, now: len(set(known(rows, "merchant_id"))),
    "declines(*)": lambda rows, now: [row["status"] for row in rows].count("declined"),
    "sum(amount_minor)": lambda rows, now: sum(known(rows, "amount_minor")) if known(rows, "amount_minor") else None,
    "mean(amount_minor)": lambda rows, now: mean(rows),
    "min(amount_minor)": lambda rows, now: min(known(rows, "amount_minor"), default=None),
    "max(amount_minor)": lambda rows, now: max(known(rows, "amount_minor"), default=None),
    "max(latitude)": lambda rows, now: max(known(rows, "latitude"), default=None),
    "stddev(amount_minor)": lambda rows, now: stddev(rows),
    "ratio_to_mean(amount_minor)": ratio,
    "first(country)": lambda rows, now: next(iter(known(rows, "country")), None),
    "first(transaction_id)": lambda rows, now: next(iter(known(rows, "transaction_id")), None),
    "last(country)": lambda rows, now: next(reversed(known(rows, "country")), None),
    "last(transaction_id)": lambda rows, now: next(reversed(known(rows, "transaction_id")), None),
    "previous(amount_minor)": lambda rows, now: value_of_previous(rows, now, "amount_minor"),
    "previous(device_id)": lambda rows, now: value_of_previous(rows, now, "device_id"),
    "previous(transaction_id)": lambda rows, now: value_of_previous(rows, now, "transaction_id"),
    "seconds_since_previous(*)": seconds,
    "distance_km(*)": distance,
    "speed_kmh(*)": speed,
}
COUNTED = ("count(*)", "declines(*)", "sum(amount_minor)", "stddev(amount_minor)", "speed_kmh(*)")
PLACES = [(0.0, 0.0), (0.0, 180.0), (52.52, 13.405), (48.85, 2.35), (52.52, None), (None, None)]

rows = st.builds(
    lambda place, **fields: fields | {"latitude": place[0], "longitude": place[1]},
    place=st.sampled_from(PLACES),
    # Few seconds and microseconds, so that ties and the edges of windows are common.
    event_time=st.builds(lambda s, us: s * 1_000_000 + us, st.integers(0, 12), st.sampled_from([0, 0, 1, 999_999])),
    card_token=st.sampled_from(["c1", "c2"]),
    merchant_id=st.sampled_from(["m1", "m2", "m3"]),
    card_bin=st.sampled_from(["400000", "40000012"]),
    device_id=st.sampled_from(["d1", "d2", "d'3", None]),
    amount_minor=st.sampled_from([None, *range(7)]),
    country=st.sampled_from(["DE", "FR", "IT", None]),
    status=st.sampled_from(["approved", "declined"]),
)
KEYS = {"card": "card_token", "merchant": "merchant_id", "bin": "card_bin", "device": "device_id"}
measures = st.tuples(st.sampled_from(list(FUNCTIONS)), st.sampled_from(list(WHERES)), st.integers(1, 8))
# Tens of measures cost DuckDB more to plan than to compute, so each example has some.
some_measures = st.lists(measures, min_size=1, max_size=8).map(
    lambda chosen: {f"n{number}": measure for number, measure in enumerate(chosen)}
)


def brute_force(transactions: list[Row], key: str, chosen: dict[str, tuple[str, str, int]]) -> dict[str, Row]:
    """Every measure of each transaction that has the key, from the definition."""
    ordered = sorted(transactions, key=order)
    return {
        now["transaction_id"]: {
            name: FUNCTIONS[function](
                [
                    row
                    for row in ordered
                    if row[key] == now[key]
                    and now["event_time"] - seconds * 1_000_000 < row["event_time"] <= now["event_time"]
                    and WHERES[where](row)
                ],
                now,
            )
            for name, (function, where, seconds) in chosen.items()
        }
        for now in ordered
        if now[key] is not None
    }


def oracle(transactions: list[Row], rules: list[Row]) -> dict[str, dict[str, Row]]:
    """Measures by rule and raised transaction."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yaml"
        file.write_text(json.dumps({"rules": rules}))  # JSON is YAML
        table = pa.Table.from_pylist(transactions, schema=SCHEMA)
        alerts = expected_alerts(table, file, lists=LISTS).to_pylist()
    assert len({alert["alert_id"] for alert in alerts}) == len(alerts)
    found: dict[str, dict[str, Row]] = {rule["id"]: {} for rule in rules}
    for alert in alerts:
        found[alert["rule_id"]][alert["transaction_id"]] = json.loads(alert["measures"])
    return found


@random_examples(60, deadline=None)
@given(
    drawn=st.lists(rows, min_size=1, max_size=40),
    seed=st.integers(0, 2**16),
    scope=st.sampled_from(list(KEYS)),
    chosen=some_measures,
    counted=st.sampled_from(COUNTED),
    threshold=st.sampled_from([0, 0.5, 1, 2, 8]),
)
def test_oracle_equals_the_definition_spelled_out(
    drawn: list[Row], seed: int, scope: str, chosen: dict[str, Any], counted: str, threshold: float
) -> None:
    chance = random.Random(seed)
    names = chance.sample(range(len(drawn)), k=len(drawn))  # the order of ids is not that of the draw
    transactions = [{"transaction_id": f"t{name}", **row} for name, row in zip(names, drawn, strict=True)]
    arrivals = [*transactions, *chance.choices(transactions, k=len(transactions) // 4)]
    chance.shuffle(arrivals)
    chosen = chosen | {"counted": (counted, "true", 5)}
    every = {
        "id": "every",
        "scope": scope,
        "measures": {
            name: {"window": f"{seconds}s", "is": function, "where": where}
            for name, (function, where, seconds) in chosen.items()
        },
        "when": "true",
    }
    some = every | {"id": "some", "when": f"counted >= {threshold}"}
    found = oracle(arrivals, [every, some])

    measured = brute_force(transactions, KEYS[scope], chosen)
    assert found["every"] == measured
    assert found["some"] == {
        transaction_id: values
        for transaction_id, values in measured.items()
        if values["counted"] is not None and values["counted"] >= threshold
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
