"""A detector whose state is damaged, lost or of other settings: it refuses, `rebuild-state` rebuilds the state, and
no alert is missing or published a second time."""

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_contracts.topics import TRANSACTIONS_SILVER
from cardwatch_oracle import expected_alerts
from cardwatch_oracle.comparison import ObservedAlert, verify
from support.records import MINUTE_US, enriched_record
from support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

RULES = """
rules:
  - id: many
    title: Three payments of a card within an hour
    scope: card
    measures: {payments: {window: 1h, is: count(*)}, mean_amount: {window: 40m, is: mean(base_amount_minor)}}
    when: payments >= 3 and mean_amount > 3000
    suppress: 10m
  - id: cards
    title: Six cards at one merchant within half an hour
    scope: merchant
    measures: {cards: {window: 30m, is: count(distinct card_token)}}
    when: cards >= 6
"""
PER_MINUTE = 3
ENDS_WITHIN_SECONDS = 120


class Payments:
    """Random payments, some of them up to ten minutes late, some twice."""

    def __init__(self, detector: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self._detector = detector
        self._chance = random.Random(5)

    def send(self, minutes: range) -> None:
        made = []
        for minute in minutes:
            for _ in range(PER_MINUTE):
                amount = self._chance.randrange(1, 8000)
                record = enriched_record(
                    transaction_id=f"t{len(self.sent) + len(made)}",
                    event_time=self._detector.start_us + minute * MINUTE_US + self._chance.randrange(MINUTE_US),
                    card_token=f"card-{self._chance.randrange(25)}",
                    merchant_id=f"m{self._chance.randrange(6)}",
                    amount_minor=amount,
                    base_amount_minor=amount,
                )
                made.append((minute + (self._chance.randrange(10) if self._chance.random() < 0.1 else 0), record))
                if self._chance.random() < 0.05:
                    made.append(made[-1])
        made.sort(key=lambda arrival: arrival[0])
        self.sent += [record for _, record in made]
        self._detector.send(*(self._detector.topics.encode(TRANSACTIONS_SILVER, record) for _, record in made))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def start(start_detector: Callable[..., Any], rules: Path) -> Callable[..., Any]:
    """Starts a detector on the test's topics, with the same rules and checkpoint each time."""

    def start_with(**settings: str) -> Any:
        return start_detector(
            CARDWATCH_DETECTOR_RULES=str(rules),
            CARDWATCH_DETECTOR_HORIZON_CARD="3h",
            CARDWATCH_DETECTOR_HORIZON_MERCHANT="1h",
            CARDWATCH_DETECTOR_LATENESS="30m",
            CARDWATCH_DETECTOR_PROFILES="false",
            **settings,
        )

    return start_with


@pytest.mark.timeout(500)
def test_state_is_rebuilt_without_an_alert_too_many_or_too_few(
    start: Callable[..., Any], rules: Path, tmp_path: Path
) -> None:
    detector = start()
    payments = Payments(detector)
    payments.send(range(120))
    wait_until_read(detector)
    published = len(detector.alerts())
    assert published > 10
    detector.kill()

    checkpoint = tmp_path / "checkpoint/engine/velocity-card-merchant"
    for file in [*(checkpoint / "state").rglob("*.changelog"), *(checkpoint / "state").rglob("*.zip")]:
        file.unlink()
    payments.send(range(120, 150))
    assert "`cardwatch-detector rebuild-state`" in refusal(detector)
    assert len(detector.alerts()) == published
    assert "state of " in rebuild(detector)
    detector.start()
    wait_until_read(detector)
    require_exactly_the_expected(detector, payments, rules)
    detector.kill()
    assert not checkpoint.exists(), "the old state is deleted"

    more = start_refused(detector, start, CARDWATCH_DETECTOR_PARTITIONS="3")
    assert "in 2 partitions, but CARDWATCH_DETECTOR_PARTITIONS is 3" in refusal(more)
    assert "expected" not in rebuild(more)
    more = start_refused(more, start, CARDWATCH_DETECTOR_PARTITIONS="3", CARDWATCH_DETECTOR_SCOPES="merchant,card,ip")
    assert "it has other scopes" in refusal(more)
    payments.send(range(150, 200))
    rebuild(more)
    more.start()
    wait_until_read(more)
    require_exactly_the_expected(more, payments, rules)
    more.kill()

    shutil.rmtree(tmp_path / "checkpoint")
    assert "the checkpoint is lost" in refusal(more)
    assert "where the detector was is not known" in rebuild(more, succeeds=False)
    rebuild(more, "--position", "now")
    payments.send(range(200, 240))
    more.start()
    wait_until_read(more)
    require_exactly_the_expected(more, payments, rules)


def wait_until_read(detector: Any) -> None:
    """Wait until the detector has committed all that was sent."""
    ends = detector.topics.end_offsets(TRANSACTIONS_SILVER)
    detector.wait_for(
        lambda: all(detector.positions().get(at, 0) >= end for at, end in ends.items()), "position at the end"
    )


def start_refused(detector: Any, start: Callable[..., Any], **settings: str) -> Any:
    """Another detector with the same topics, which is not running."""
    assert not detector.is_running
    other = start(**settings)
    other.process.wait(ENDS_WITHIN_SECONDS)
    return other


def refusal(detector: Any) -> str:
    """What a detector that ends with an error says."""
    if not detector.is_running:
        detector.start()
    wait_until(lambda: not detector.is_running, "end", seconds=ENDS_WITHIN_SECONDS, explain=detector.log_tail)
    assert detector.process.returncode == 1, detector.log_tail()
    return str(detector.log_tail())


def rebuild(detector: Any, *arguments: str, succeeds: bool = True) -> str:
    """Run the command with the detector's settings; returns what it says."""
    run = subprocess.run(
        [detector.command[0], "rebuild-state", *arguments],
        env=detector.environment, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN_SECONDS,
    )  # fmt: skip
    assert (run.returncode == 0) is succeeds, run.stderr[-4000:] + run.stdout
    return run.stdout + run.stderr


def require_exactly_the_expected(detector: Any, payments: Payments, rules: Path) -> None:
    """The alerts that stand are the oracle's, and no event of an alert was published twice."""
    events = detector.alerts()
    statuses = {event["alert_id"]: event for event in sorted(events, key=lambda event: event["detected_at"])}
    observed = [
        ObservedAlert(alert, event["status"], event["suppressed_by"])
        for alert, event in statuses.items()
        if event["status"] != "retracted"
    ]
    comparison = verify(expected_alerts(pa.Table.from_pylist(payments.sent), rules), observed)
    assert comparison.holds, comparison
    times = Counter((event["alert_id"], event["status"], event["suppressed_by"]) for event in events)
    assert [event for event, number in times.items() if number > 1] == []
