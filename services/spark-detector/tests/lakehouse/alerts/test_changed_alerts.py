"""Finds the messages that change a table: alert events, labels, and rows that are only appended."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from cardwatch_detector.lakehouse.alerts.changed_alerts import find_changes
from cardwatch_detector.lakehouse.alerts.labels import find_label_changes
from cardwatch_detector.lakehouse.io.duplicates import find_new

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLACE = ["partition", "offset"]

Frame = pl.DataFrame
FindChanges = Callable[[Frame, Frame], tuple[Frame, Frame]]


def time(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def events(*rows: tuple[str, str, int, int, int]) -> Frame:
    """(alert, status, partition, offset, broker time); the status ``suppressed`` is by ``r``."""
    return pl.DataFrame(
        [
            (alert, status, "r" if status == "suppressed" else None, partition, offset, time(at))
            for alert, status, partition, offset, at in rows
        ],
        schema={
            "alert_id": pl.String, "status": pl.String, "suppressed_by": pl.String, "partition": pl.Int32,
            "offset": pl.Int64, "broker_time": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )  # fmt: skip


def as_alerts(arrivals: Frame) -> Frame:
    return arrivals.rename(
        {"partition": "alert_partition", "offset": "alert_offset", "broker_time": "alert_broker_time"}
    )


def labels(*rows: tuple[str, int, int, int]) -> Frame:
    """(alert, labelled at, offset, broker time)."""
    return pl.DataFrame(
        [(alert, time(at), time(when), 0, offset) for alert, at, offset, when in rows],
        schema={
            "alert_id": pl.String, "labelled_at": pl.Datetime("us", "UTC"), "timestamp": pl.Datetime("us", "UTC"),
            "partition": pl.Int32, "offset": pl.Int64,
        },
        orient="row",
    )  # fmt: skip


def offsets(found: tuple[Frame, Frame]) -> tuple[list[int], list[int]]:
    return sorted(found[0]["offset"].to_list()), sorted(found[1]["offset"].to_list())


def test_an_alert_without_a_row_is_new_and_its_last_event_tells_its_status() -> None:
    arrivals = events(("a", "raised", 0, 1, 1), ("b", "raised", 0, 2, 2), ("a", "retracted", 0, 3, 3))
    assert offsets(find_changes(arrivals, as_alerts(events(("c", "raised", 0, 0, 0))))) == ([2, 3], [])


@pytest.mark.parametrize(
    ("event", "is_change"),
    [
        (("a", "retracted", 0, 6, 6), True),
        (("a", "suppressed", 0, 6, 6), True),
        (("a", "raised", 0, 6, 6), False),  # repeats what the row says
        (("a", "retracted", 0, 4, 9), False),  # came before it
        (("a", "retracted", 1, 0, 6), True),  # another partition: by the broker's clock
        (("a", "retracted", 1, 9, 4), False),
    ],
)
def test_a_newer_event_with_other_content_is_a_change(event: Any, is_change: bool) -> None:
    known = as_alerts(events(("a", "raised", 0, 5, 5)))
    assert offsets(find_changes(events(event), known)) == ([], [event[3]] if is_change else [])


def test_of_two_partitions_the_event_that_the_broker_appended_last_counts() -> None:
    arrivals = events(("a", "retracted", 0, 8, 1), ("a", "raised", 1, 2, 2), ("a", "suppressed", 1, 1, 2))
    assert offsets(find_changes(arrivals, as_alerts(events()))) == ([2], [])


def test_a_label_holds_if_none_comes_after_it() -> None:
    known = labels(("a", 10, 1, 1), ("b", 10, 2, 2), ("c", 10, 3, 3))
    arrivals = labels(("a", 9, 4, 4), ("b", 10, 5, 5), ("c", 11, 6, 6), ("c", 10, 7, 7), ("d", 1, 8, 8), ("d", 0, 9, 9))
    assert offsets(find_label_changes(arrivals, known)) == ([8], [5, 6])


def test_the_same_message_again_is_not_a_change() -> None:
    assert offsets(find_label_changes(labels(("a", 1, 1, 1)), labels(("a", 1, 1, 1)))) == ([], [])
    assert offsets(find_changes(events(("a", "raised", 0, 1, 1)), as_alerts(events(("a", "raised", 0, 1, 1))))) == (
        [],
        [],
    )


def divided(everything: Frame, find: FindChanges, row: Callable[[Frame], Frame], draw: random.Random) -> Frame:
    """The rows after micro-batches of random sizes, each done twice."""
    rows, begin = row(everything.clear()), 0
    while begin < everything.height:
        batch = everything.slice(begin, draw.randrange(1, 9))
        for again in (False, True):
            new, changed = find(batch, rows)
            assert not (again and new.height + changed.height), "doing it again changes nothing"
            written = row(batch.join(pl.concat([new, changed]), on=PLACE, how="semi"))
            rows = pl.concat([rows.join(written, on="alert_id", how="anti"), written])
        begin += batch.height
    return rows.sort("alert_id")


@pytest.mark.parametrize("seed", range(10))
def test_the_division_into_micro_batches_does_not_matter(seed: int) -> None:
    draw = random.Random(seed)
    statuses = ("raised", "suppressed", "retracted")
    some = events(
        *((draw.choice("abcd"), draw.choice(statuses), draw.randrange(2), number, number) for number in range(40))
    )
    says = ["alert_id", "status", "suppressed_by"]
    last = some.unique("alert_id", keep="last", maintain_order=True).sort("alert_id")
    assert divided(some, find_changes, as_alerts, draw).select(says).equals(last.select(says))

    said = labels(*((draw.choice("abcd"), draw.randrange(5), number, number) for number in range(40)))
    holds = said.sort("labelled_at", "offset").unique("alert_id", keep="last").sort("alert_id")
    assert divided(said, find_label_changes, lambda rows: rows, draw).equals(holds)


def test_known_and_repeated_rows_are_not_new() -> None:
    schema = {"service": pl.String, "source": pl.Int64, "partition": pl.Int32, "offset": pl.Int64}
    rows: list[tuple[str | None, int, int, int]] = [
        ("a", 1, 0, 3), ("a", 1, 0, 2), ("b", 1, 1, 0), (None, 1, 0, 4), (None, 1, 0, 5), (None, 2, 0, 6),
        ("c", 1, 0, 7),
    ]  # fmt: skip
    arrivals = pl.DataFrame(rows, schema=schema, orient="row")
    known = pl.DataFrame(
        {"service": [None, "c", "d"], "source": [2, 1, 1]}, schema={"service": pl.String, "source": pl.Int64}
    )
    found = find_new(arrivals, known, ("service", "source"))
    assert sorted(found.rows()) == [(0, 2), (0, 4), (1, 0)]
