"""The operator, the evaluator in Python and the oracle agree about every alert of random rules and histories.

`make fuzz-engine` tries 100,000 histories.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cardwatch_rules.fields import FIELD_KINDS, SCOPE_KEYS
from cardwatch_rules.parse import parse_rules
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.equivalence.comparison import compare_random_suite, differences
from support.equivalence.engines import Oracle
from support.equivalence.histories import DAY, MIDNIGHT, Arrived
from support.equivalence.operator import Operator, running_operator
from support.equivalence.rule_sets import RuleSet
from support.equivalence.suites import Suite, random_suite
from support.random_examples import random_examples

HISTORIES = 40


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    """The operator as a process."""
    with running_operator() as running:
        yield running


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """The oracle."""
    return Oracle(tmp_path_factory.mktemp("oracle") / "rules.yaml")


@random_examples(48, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_all_three_agree(operator: Operator, oracle: Oracle, seed: int) -> None:
    assert compare_random_suite(seed, HISTORIES, operator, oracle) == []


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@random_examples(12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_operator_and_evaluator_agree_where_sql_engines_do_not(operator: Operator, seed: int) -> None:
    assert compare_random_suite(seed, HISTORIES, operator, None) == []


def test_of_arrivals_that_differ_in_the_sign_of_a_zero_the_smaller_one_is_taken(operator: Operator) -> None:
    one = {**dict.fromkeys(FIELD_KINDS), "transaction_id": "t", "card_token": "a", "event_time": MIDNIGHT}
    arrivals = [
        {**one, "latitude": 0.0, "raw_broker_time": 12, "offset": 0},
        {**one, "latitude": -0.0, "raw_broker_time": 13, "offset": 1},
    ]
    rules = RuleSet(tuple(parse_rules("- {id: all, title: t, scope: card, when: 'true'}")), {})
    suite = Suite([[Arrived(0, arrivals)]], [rules], [0], dict.fromkeys(SCOPE_KEYS, DAY))
    ((batch,),) = operator.results(suite)
    assert [alert["raw_broker_time"] for alert in batch["alerts"]] == [13]
    assert differences(suite, operator, None) == []


class Altered(Operator):
    """The operator, with one row of its answer altered."""

    def __init__(self, operator: Operator, row: dict[str, Any] | None) -> None:
        self._operator, self._row = operator, row

    def results(self, suite: Suite) -> list[list[dict[str, Any]]]:
        results = self._operator.results(suite)
        alerts = next(batch["alerts"] for batches in results for batch in batches if batch["alerts"])
        first = alerts.pop()
        if self._row:
            alerts.append({**first, **self._row})
        return results


@pytest.mark.parametrize(
    "row",
    [
        None,
        *({name: value} for name, value in {
            "status": "other", "evidence": ["other"], "window_start": 1, "evidence_count": 1_000, "raw_broker_time": 1,
            "measures": {"other": 1}, "alert_id": "other", "suppressed_by": "other", "mode": "other",
        }.items()),
    ],
    ids=str,
)  # fmt: skip
def test_an_alert_that_is_missing_or_other_is_found(operator: Operator, row: dict[str, Any] | None) -> None:
    suite = random_suite(3, 5, tame=True)
    assert differences(suite, operator, None) == []
    assert differences(suite, Altered(operator, row), None) != []


def test_an_oracle_of_another_opinion_is_found(operator: Operator, tmp_path: Path) -> None:
    class Other(Oracle):
        def alerts(self, *arguments: Any) -> Any:
            return {name: replace(alert, status="other") for name, alert in super().alerts(*arguments).items()}

    found = differences(random_suite(3, 5, tame=True), operator, Other(tmp_path / "rules.yaml"))
    assert {one.between for one in found} == {"oracle"}


def test_the_histories_have_everything(operator: Operator) -> None:
    seen: Counter[str] = Counter()
    for seed in range(6):
        suite = random_suite(seed, HISTORIES, tame=True)
        seen["changed rules"] += len(suite.rule_sets) > 1
        seen["profiles"] += any(arrived.profiles for history in suite.histories for arrived in history)
        seen["repeated"] += any(arrived.repeated for history in suite.histories for arrived in history)
        for batches in operator.results(suite):
            for batch in batches:
                seen["late"] += len(batch["late"])
                seen["windows of many leaves"] += any(alert["evidence_count"] > 64 for alert in batch["alerts"])
                seen.update(alert["status"] for alert in batch["alerts"])
    wanted = {
        "changed rules", "profiles", "repeated", "late", "windows of many leaves", "raised", "suppressed", "retracted",
    }  # fmt: skip
    assert {what for what, number in seen.items() if number} == wanted
