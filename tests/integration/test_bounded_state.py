"""The detector's state does not grow with the stream: what no window can need any more leaves it, and its checkpoint,
also of cards that never come back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.topics import TRANSACTIONS_SILVER

pytestmark = [pytest.mark.integration, pytest.mark.faults]

RULES = """
rules:
  - {id: many, title: Five of a card, scope: card, when: n >= 5, measures: {n: {window: 10m, is: count(*)}}}
  - id: cards
    title: Thousands of cards at one merchant
    scope: merchant
    measures: {cards: {window: 10m, is: count(distinct card_token)}}
    when: cards >= 100000
"""
# Spark deletes what it needs no more a minute after the fact, and keeps a hundred micro-batches: too long for a test.
TIDY = """
spark.sql.streaming.minBatchesToRetain 2
spark.sql.streaming.stateStore.maintenanceInterval 500ms
"""
MINUTES_PER_ROUND = 5
PAYMENTS_PER_ROUND = 300
# With a horizon of ten minutes and a lateness of one, transactions are kept for three rounds; then the sizes settle.
SETTLED, ROUNDS = 8, 24
DAY = 24 * 60


@pytest.mark.timeout(300)
def test_state_and_checkpoint_stay_bounded(start_detector: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "spark.conf").write_text(TIDY)
    detector = start_detector(
        CARDWATCH_DETECTOR_RULES=str(tmp_path / "rules.yaml"),
        CARDWATCH_DETECTOR_HORIZON_CARD="10m",
        CARDWATCH_DETECTOR_HORIZON_MERCHANT="10m",
        CARDWATCH_DETECTOR_LATENESS="1m",
        CARDWATCH_DETECTOR_PROFILES="false",
        CARDWATCH_DETECTOR_TRIGGER_SECONDS="0",
        CARDWATCH_SPARK_CONF_FILE=str(tmp_path / "spark.conf"),
    )
    sizes = [take(detector, number, number * MINUTES_PER_ROUND, tmp_path) for number in range(ROUNDS)]
    # A merchant's transactions are in pages; the cards come once, and go by their timers.
    settled = sizes[SETTLED : SETTLED + 8]
    assert max(sizes[-8:]) < 1.5 * max(settled), sizes

    # Much later nothing of it is needed any more. Spark writes what is left with one of the next micro-batches.
    def is_empty() -> bool:
        nonlocal sizes
        number = len(sizes)
        sizes += [take(detector, number, DAY + number, tmp_path, payments=1)]
        return sizes[-1] < max(settled) / 4

    detector.wait_for(is_empty, "empty state", 90)


def take(detector: Any, number: int, minute: int, directory: Path, payments: int = PAYMENTS_PER_ROUND) -> int:
    """Have the detector process payments of new cards at one merchant; returns the checkpoint's size, bytes."""
    first = number * PAYMENTS_PER_ROUND
    detector.send(
        *(
            detector.encode_payment(first + at, minute + MINUTES_PER_ROUND * at / payments, f"{first + at:032x}")
            for at in range(payments)
        )
    )
    ends = detector.topics.end_offsets(TRANSACTIONS_SILVER)
    detector.wait_for(lambda: all(detector.positions().get(at, 0) >= end for at, end in ends.items()), "end")
    return sum(size_of(file) for file in (directory / "checkpoint").rglob("*"))


def size_of(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # Spark has deleted it
        return 0
