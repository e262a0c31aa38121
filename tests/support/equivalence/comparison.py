"""The operator, the evaluator in Python and the oracle compared over a suite."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cardwatch_oracle.errors import OracleError
from cardwatch_rules.fields import SCOPE_KEYS

from support.equivalence.engines import Alerts, Oracle, PythonEvaluator, same_by_oracle, same_value
from support.equivalence.histories import History
from support.equivalence.model import Touch, alerts_at, states_of, transitions
from support.equivalence.operator import Operator
from support.equivalence.suites import Suite, random_suite

# A number outside of what its type can hold, which is no error in the rule language.
_REFUSED: Final = re.compile(r"rule (?P<rule>\S+) cannot be evaluated: Out of Range Error")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that one of two says otherwise, or not at all.

    Attributes:
        between: who differs from the evaluator in Python: the operator or the oracle.
        batch: number of the micro-batch.
        found: what that one says.
        expected: what the evaluator says.
    """

    between: str
    batch: int
    found: Any
    expected: Any


def differences(suite: Suite, operator: Operator, oracle: Oracle | None) -> list[Difference]:
    """How the operator, the evaluator in Python and the oracle differ.

    What the operator publishes with each micro-batch is compared with the evaluator; and the evaluator with the oracle
    after the last micro-batch and after one before.

    Raises:
        OracleError: DuckDB cannot calculate something.
    """
    published = operator.results(suite)
    found: list[Difference] = []
    for number, history in enumerate(suite.histories):
        found += _late(history, published[number])
    states = states_of(suite.histories)
    evaluator = PythonEvaluator()
    probed = {len(suite.used) - 1, len(suite.histories[0]) // 2}
    before: Alerts = {}
    for at, state in enumerate(states[1:]):
        rules = suite.rule_sets[suite.used[at]]
        if at > 0 and suite.used[at] != suite.used[at - 1]:
            before = alerts_at(states[at], evaluator, rules)
        after = alerts_at(state, evaluator, rules)
        rows = [row for batches in published for row in batches[at]["alerts"]]
        touch = Touch(states[at], state, suite.histories, at)
        found += _unequal(at, _by_alert(rows), transitions(touch, before, after))
        if oracle is not None and at in probed:
            found += _disagreements(at, after, alerts_at(state, oracle, rules))
        before = after
    return found


def compare_random_suite(seed: int, histories: int, operator: Operator, oracle: Oracle | None) -> list[Difference]:
    """`differences` over the suite of a seed, without the rules that DuckDB cannot evaluate.

    Args:
        oracle: without it, rules and fields are those that DuckDB would understand otherwise, or not at all.
    """
    suite = random_suite(seed, histories, tame=oracle is not None)
    while True:
        try:
            return differences(suite, operator, oracle)
        except OracleError as error:
            refused = _REFUSED.match(str(error))
            if refused is None:
                raise
            suite = suite.without(refused["rule"])


def _late(history: History, results: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    for at, (arrived, result) in enumerate(zip(history, results, strict=True)):
        expected = [
            one["offset"]
            for one in arrived.transactions
            if one["event_time"] < arrived.watermark and any(one[key] is not None for key in SCOPE_KEYS.values())
        ]
        if sorted(result["late"]) != expected:
            yield Difference("operator", at, result["late"], expected)


def _by_alert(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found = {row["alert_id"]: row for row in rows}
    assert len(found) == len(rows), "a micro-batch publishes an alert once"
    return found


def _unequal(
    batch: int, published: Mapping[str, Mapping[str, Any]], expected: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    for name in published.keys() | expected.keys():
        one, other = published.get(name), expected.get(name)
        if one is None or other is None or not _same_row(one, other):
            yield Difference("operator", batch, one, other)


def _same_row(published: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    if any(published[name] != value for name, value in expected.items() if name != "measures"):
        return False
    measures, others = published["measures"], expected["measures"]
    return measures.keys() == others.keys() and all(same_value(measures[name], others[name]) for name in measures)


def _disagreements(batch: int, by_evaluator: Alerts, by_oracle: Alerts) -> Iterator[Difference]:
    for name in by_evaluator.keys() | by_oracle.keys():
        one, other = by_oracle.get(name), by_evaluator.get(name)
        if one is None or other is None or not same_by_oracle(one, other):
            yield Difference("oracle", batch, one, other)
