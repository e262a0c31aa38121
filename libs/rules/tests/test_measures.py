"""Every measure against its definition in plain Python (docs/rules.md), with ties, nulls and conditions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from cardwatch_rules import windows
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import polars_schema
from cardwatch_rules.parse import parse_rules
from hypothesis import given, settings
from hypothesis import strategies as st

Event = dict[str, Any]
SECOND = 1_000_000


def km(a: Event, b: Event) -> float:
    phi, other = math.radians(a["latitude"]), math.radians(b["latitude"])
    turn = math.radians(b["longitude"] - a["longitude"])
    half = math.sin((other - phi) / 2) ** 2 + math.cos(phi) * math.cos(other) * math.sin(turn / 2) ** 2
    return round(2 * 6371.0088 * math.asin(math.sqrt(half)), 3)


def amounts(window: list[Event]) -> list[int]:
    return [e["amount_minor"] for e in window]


def stddev(window: list[Event]) -> float | None:
    values = amounts(window)
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def ratio(event: Event, window: list[Event]) -> float | None:
    return event["amount_minor"] / (sum(amounts(window)) / len(window)) if window and sum(amounts(window)) else None


def seconds(event: Event, before: list[Event]) -> float | None:
    return (event["event_time"] - before[-1]["event_time"]) / SECOND if before else None


def distance(event: Event, before: list[Event]) -> float | None:
    located = [e for e in before if e["latitude"] is not None]
    return km(located[-1], event) if located and event["latitude"] is not None else None


def speed(event: Event, before: list[Event]) -> float | None:
    located = [e for e in before if e["latitude"] is not None]
    far = distance(event, before)
    return None if far is None else far * 3600 / max(1.0, (event["event_time"] - located[-1]["event_time"]) / SECOND)


def devices(window: list[Event]) -> list[str]:
    return [e["device_id"] for e in window if e["device_id"] is not None]


# What it is → the event, the window's events that satisfy `where`, in order, and those of them before the event.
DEFINITIONS: dict[str, Callable[[Event, list[Event], list[Event]], Any]] = {
    "count(*)": lambda e, w, p: len(w),
    "count(distinct device_id)": lambda e, w, p: len(set(devices(w))),
    "declines(*)": lambda e, w, p: sum(x["status"] == "declined" for x in w),
    "sum(amount_minor)": lambda e, w, p: sum(amounts(w)) if w else None,
    "mean(amount_minor)": lambda e, w, p: sum(amounts(w)) / len(w) if w else None,
    "min(amount_minor)": lambda e, w, p: min(amounts(w), default=None),
    "max(latitude)": lambda e, w, p: max((x["latitude"] for x in w if x["latitude"] is not None), default=None),
    "stddev(amount_minor)": lambda e, w, p: stddev(w),
    "ratio_to_mean(amount_minor)": lambda e, w, p: ratio(e, w),
    "first(device_id)": lambda e, w, p: next(iter(devices(w)), None),
    "last(device_id)": lambda e, w, p: next(iter(devices(w)[::-1]), None),
    "previous(device_id)": lambda e, w, p: next(iter(devices(p)[::-1]), None),
    "first(amount_minor)": lambda e, w, p: next(iter(amounts(w)), None),
    "seconds_since_previous(*)": lambda e, w, p: seconds(e, p),
    "distance_km(*)": lambda e, w, p: distance(e, p),
    "speed_kmh(*)": lambda e, w, p: speed(e, p),
}

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from("ab"),
        st.integers(0, 300) | st.just(10**12),
        st.sampled_from(["x", "y", None]),
        st.sampled_from(["approved", "declined"]),
        st.sampled_from([(48.1, 11.6), (52.5, 13.4), (-33.9, 151.2), (None, None)]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(1, 12), st.booleans())
def test_every_measure_equals_its_definition(rows: list[Any], window: int, conditional: bool) -> None:
    events = sorted(
        (
            {
                "transaction_id": f"t{number:02}",
                "event_time": at * SECOND,
                "card_token": card,
                "amount_minor": amount,
                "device_id": device,
                "status": status,
                "latitude": place[0],
                "longitude": place[1],
            }
            for number, (at, card, amount, device, status, place) in enumerate(rows)
        ),
        key=lambda e: (e["card_token"], e["event_time"], e["transaction_id"]),
    )
    where = ", where: amount_minor > 100" if conditional else ""
    text = "".join(f"    m{at}: {{window: {window}s, is: {what}{where}}}\n" for at, what in enumerate(DEFINITIONS))
    rules = parse_rules(
        f"- id: all\n  title: all\n  scope: card\n  when: transaction_id is not null\n  measures:\n{text}"
    )
    kinds = {name: kind for name, kind in polars_schema().items() if name in events[0]}
    frame = pl.DataFrame(events, schema={**kinds, "event_time": pl.Int64()}).with_columns(
        group=pl.col("card_token").rank("dense").cast(pl.Int64) - 1
    )
    (hits,) = evaluate(frame, np.arange(len(events)), rules)
    for event, found in zip(events, hits.measures.iter_rows(), strict=True):
        inside = [
            e
            for e in events
            if e["card_token"] == event["card_token"]
            and event["event_time"] - window * SECOND < e["event_time"] <= event["event_time"]
            and (not conditional or e["amount_minor"] > 100)
        ]
        order = (event["event_time"], event["transaction_id"])
        before = [e for e in inside if (e["event_time"], e["transaction_id"]) < order]
        for (what, definition), value in zip(DEFINITIONS.items(), found, strict=True):
            expected = definition(event, inside, before)
            if isinstance(expected, float):
                expected = pytest.approx(expected, rel=1e-9, abs=1e-3)
            assert value == expected, what


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=60), st.integers(0, 2**32))
def test_distinct_values_by_the_wavelet_matrix(rows: list[tuple[int, bool]], seed: int) -> None:
    codes = np.array([code for code, _ in rows], dtype=np.int64)
    included = np.array([chosen for _, chosen in rows], dtype=np.bool_)
    chance = np.random.default_rng(seed)
    first = chance.integers(0, len(rows), 20)
    after = np.minimum(len(rows), first + chance.integers(1, 60, 20))
    bounds = windows.Bounds(first, after)
    expected = [len(set(codes[a:b][included[a:b]].tolist())) for a, b in zip(first, after, strict=True)]
    previous = windows.previous_occurrence(included, codes)
    values = np.where(included, previous + 1, len(codes) + 1)
    assert windows._count_below(bounds, values, bounds.first + 1).tolist() == expected
    assert windows._count_fresh(bounds, included, previous, windows.ROWS_PER_STEP).tolist() == expected


def test_deviation_of_large_amounts_is_exact() -> None:
    values = np.array([10**12, 10**12 + 1, 10**12 + 2], dtype=np.int64)
    bounds = windows.Bounds(np.array([0]), np.array([3]))
    assert windows.deviation(bounds, np.ones(3, dtype=np.bool_), values).tolist() == [1.0]
