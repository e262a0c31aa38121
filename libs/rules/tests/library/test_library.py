"""Each rule of config/rules/library.yaml fires on its pattern and does not fire on near misses."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from cardwatch_rules.backtest.alerts import alerts_of
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.parse import load_rules
from cardwatch_rules.statuses import RAISED
from cardwatch_units.timestamps import MICROSECONDS_PER_HOUR
from support.rows import every_row

from . import card_cases, place_cases
from .timeline import Case, frame_of

_ROOT: Final = Path(__file__).parents[4]
_HORIZONS: Final = {
    "card": 30 * MICROSECONDS_PER_HOUR,
    "merchant": MICROSECONDS_PER_HOUR,
    "device": MICROSECONDS_PER_HOUR,
    "ip": MICROSECONDS_PER_HOUR,
    "bin": MICROSECONDS_PER_HOUR,
}
RULES: Final = {rule.rule_id: rule for rule in load_rules(_ROOT / "config/rules/library.yaml", _HORIZONS)}
CASES: Final = [*card_cases.CASES, *place_cases.CASES]


def alerts(rule: Rule, case: Case) -> list[tuple[str, str]]:
    """What the rule says about the case's transactions: (status, transaction id)."""
    frame = frame_of(case.events, rule.scope, case.habit)
    return [
        row
        for hits in evaluate(frame, np.arange(frame.height), [rule], case.lists)
        for row in alerts_of(frame, hits, SCOPE_KEYS[rule.scope], Period()).select("status", "transaction_id").rows()
    ]


@pytest.mark.parametrize("case", [case for case in CASES if case.alert], ids=lambda case: case.name)
def test_fires(case: Case) -> None:
    assert alerts(RULES[case.rule_id], case) == [(RAISED, case.alert)]


@every_row("case", [case for case in CASES if not case.alert], ids=lambda case: case.name)
def test_near_misses_do_not_fire(case: Case) -> None:
    assert alerts(RULES[case.rule_id], case) == []


def test_each_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for fires in (True, False):
        assert {case.rule_id for case in CASES if (case.alert is not None) is fires} == set(RULES)


def test_each_rule_has_an_explanation() -> None:
    for rule in RULES.values():
        assert len(rule.explanation) > 100, rule.rule_id
        assert rule.mode is not Mode.PAUSED, rule.rule_id


def _table(lines: Iterable[str]) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| [`")]
    return {re.sub(r"^\[`(.*)`\]\(#(.*)\)$", r"\1", row[0]): row[1:] for row in rows}


def test_the_document_has_a_section_and_a_row_for_each_rule_and_no_other() -> None:
    lines = (_ROOT / "docs/rule-library.md").read_text(encoding="utf-8").splitlines()
    sections = [line.removeprefix("### ").strip("`") for line in lines if line.startswith("### ")]
    assert sections == list(RULES)
    table = _table(lines)
    assert list(table) == list(RULES)
    for rule_id, (_, scope, severity, mode) in table.items():
        rule = RULES[rule_id]
        assert (scope, severity, mode) == (rule.scope, rule.severity, rule.mode), rule_id
