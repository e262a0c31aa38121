import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from cardwatch_cli.demo.recorded import Recorded, Transaction
from cardwatch_cli.demo.report import Report, build_report, find_problems, write_json
from cardwatch_cli.demo.report_page import render_report
from cardwatch_cli.demo.results import AlertEvent, Delivery, Label
from cardwatch_contracts.identity import alert_id
from support.records import transaction_record

RULES = """
rules:
  - id: twice
    version: 1
    title: Two payments with one card within a minute
    scope: card
    severity: high
    measures:
      payments: {window: 1m, is: count(*)}
    when: payments >= 2
"""
START_US = 1_700_000_000_000_000


def transaction(number: int, seconds: float, card: str = "a" * 32) -> Transaction:
    return transaction_record(
        transaction_id=f"t{number}",
        event_time=START_US + int(seconds * 1_000_000),
        card_token=card,
        amount_minor=1_000,
        merchant_id="m1",
    )


def raised(number: int) -> AlertEvent:
    identity = alert_id("twice", 1, f"t{number}")
    return AlertEvent(identity, "raised", "live", "twice", f"t{number}", START_US, {"payments": 2})


def told(event: AlertEvent, milliseconds: int) -> Delivery:
    return Delivery(event.alert_id, event.alert_id, "raised", START_US + milliseconds * 1_000)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def recorded(events: list[AlertEvent], refused: dict[str, int] | None = None) -> Recorded:
    # t1 and t2 are a minute minus a microsecond apart, t3 exactly a minute after t2: its window no longer holds t2.
    transactions = [transaction(1, 0), transaction(2, 59.999999), transaction(3, 119.999999)]
    labels = {"t2": Label("t2", True, "burst#1", None), "bad": Label("bad", False, None, "invalid_bin")}
    return Recorded(4, 3, transactions, labels, events, Counter(refused if refused is not None else {"invalid_bin": 1}))


def report_of(run: Recorded, received: list[Delivery], rules: Path, tables: Path) -> Report:
    return build_report(run, received, rules=rules, tables_dir=tables, simulated=True)


def test_a_run_without_problems(rules: Path, tmp_path: Path) -> None:
    event = raised(2)
    report = report_of(recorded([event]), [told(event, 400)], rules, tmp_path)
    assert find_problems(report, simulated=True) == []
    assert report.oracle == {"expected": 1, "missing": 0, "extra": 0}
    assert (report.alerts_raised, report.delivered, report.precision, report.recall) == (1, 1, 1.0, 1.0)
    assert report.latency_ms == {"p50": 400.0, "p95": 400.0, "p99": 400.0}
    assert report.delta_rows == {"bronze.transactions": 0, "silver.transactions": 0, "gold.alerts": 0}
    assert "exactly once" in render_report(report, [])


def test_rules_may_use_what_the_enricher_looks_up(rules: Path, tmp_path: Path) -> None:
    condition = "merchant_category_group = 'groceries' and bin_country = 'DE' and hour_of_day = 22 and day_of_week = 2"
    rules.write_text(RULES.replace("payments >= 2", f"payments >= 2 and {condition}"), encoding="utf-8")
    report = report_of(recorded([raised(2)]), [], rules, tmp_path)
    assert report.oracle == {"expected": 1, "missing": 0, "extra": 0}


def test_a_missing_and_an_extra_alert_are_a_problem(rules: Path, tmp_path: Path) -> None:
    wrong = raised(3)
    report = report_of(recorded([wrong]), [told(wrong, 400)], rules, tmp_path)
    assert report.oracle == {"expected": 1, "missing": 1, "extra": 1}
    assert "1 missing, 1 extra of 1 expected" in find_problems(report, simulated=True)[0]
    assert report.oracle_sample == {"missing": [raised(2).alert_id], "extra": [wrong.alert_id]}


def test_suppressed_alerts_are_compared_too(rules: Path, tmp_path: Path) -> None:
    rules.write_text(RULES.replace("payments >= 2", "payments >= 1") + "    suppress: 2m\n", encoding="utf-8")
    first, second, third = (raised(number) for number in (1, 2, 3))
    suppressed = [replace(event, status="suppressed", suppressed_by=first.alert_id) for event in (second, third)]
    report = report_of(recorded([first, *suppressed]), [told(first, 400)], rules, tmp_path)
    assert find_problems(report, simulated=True) == []
    assert report.oracle == {"expected": 3, "missing": 0, "extra": 0}
    report = report_of(recorded([first, suppressed[0], third]), [told(first, 400), told(third, 400)], rules, tmp_path)
    assert report.oracle == {"expected": 3, "missing": 1, "extra": 1}


def test_an_undelivered_alert_is_a_problem(rules: Path, tmp_path: Path) -> None:
    report = report_of(recorded([raised(2)]), [], rules, tmp_path)
    assert find_problems(report, simulated=True) == ["1 alerts were not delivered exactly once (1 raised, 0 delivered)"]


def test_a_refusal_that_the_simulator_did_not_make_is_a_problem(rules: Path, tmp_path: Path) -> None:
    event = raised(2)
    run = recorded([event], refused={"invalid_bin": 1, "invalid_amount": 1})
    report = report_of(run, [told(event, 400)], rules, tmp_path)
    assert "invalid_amount" in find_problems(report, simulated=True)[0]
    assert find_problems(report, simulated=False) == []


def test_the_json_has_the_documented_keys(rules: Path, tmp_path: Path) -> None:
    event = raised(2)
    path = tmp_path / "out" / "report.json"
    write_json(report_of(recorded([event]), [told(event, 400)], rules, tmp_path), path)
    keys = json.loads(path.read_text()).keys()
    assert keys >= {
        "produced", "silver", "dead_letters", "alerts_raised", "alerts_by_rule", "delivered", "latency_ms",
        "precision", "recall", "delta_rows", "oracle",
    }  # fmt: skip
