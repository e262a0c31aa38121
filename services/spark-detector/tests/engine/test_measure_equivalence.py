"""Rules hit the same transactions in the JVM as in Polars and NumPy, with the same values of their measures."""

from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import FIELD_KINDS, polars_schema
from cardwatch_rules.measures import measure_kind
from cardwatch_rules.model import Mode, Rule, Severity
from cardwatch_rules.program.document import lists_json, program_json
from support.engine_console import EngineConsole
from support.equivalence.rule_sets import random_measure
from support.random_conditions import LISTS, ConditionGenerator

# The first ones in every run.
SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(3, 60))]
SECOND: Final = 1_000_000
# A timeline of more than 64 events is one of pages.
EVENTS: Final = (2, 30, 60, 250)
RULES: Final = 30
# Doubles are not summed, and silver has no place outside these.
PLACES: Final = (0.0, -0.0, 48.1, 48.137, 52.5, -33.9, 90.0, -90.0, 11.6, 13.4)

WINDOWS: Final = (1, SECOND, 5 * SECOND, 20 * SECOND, 100 * SECOND)


@pytest.mark.parametrize("seed", SEEDS)
def test_same_hits_and_measures(engine: EngineConsole, seed: int) -> None:
    generator = ConditionGenerator(seed, names=FIELD_KINDS)
    rules = [rule_of(generator, number) for number in range(RULES)]
    events = events_of(generator)
    schema = {**polars_schema(), "event_time": pl.Int64(), "group": pl.Int64()}
    frame = pl.DataFrame([{**event, "group": 0} for event in events], schema=schema)
    expected = {hits.rule.rule_id: hits for hits in evaluate(frame, np.arange(len(events)), rules, LISTS)}
    answer = engine.rules(program_json(rules), lists_json(LISTS), generator.sample(events, len(events)))
    assert answer["set_aside"] == {}
    for rule in rules:
        in_polars: list[list[Any]] = []
        if rule.rule_id in expected:
            hits = expected[rule.rule_id]
            values = hits.measures.iter_rows() if rule.measures else [()] * len(hits.rows)
            in_polars = [[row, *measures] for row, measures in zip(hits.rows.tolist(), values, strict=True)]
        in_java = answer["hits"][rule.rule_id][::-1]
        assert in_java == in_polars, f"{rule}\non {events}"


def events_of(generator: ConditionGenerator) -> list[dict[str, Any]]:
    """Transactions of one card in their order, many at one time, in ids beyond the Basic Multilingual Plane as well."""
    events = []
    for number in range(generator.randrange(1, generator.choice(EVENTS))):
        fields = generator.row()["fields"]
        at = generator.randrange(30) * SECOND + generator.choice([0, 0, 0, 1, 999_999])
        fields.update(transaction_id=f"{generator.choice(['', 'ﬁ', '𝄞'])}{number}", event_time=at, card_token="c")
        for name in ("latitude", "longitude"):
            fields[name] = generator.choice([None, *PLACES])
        events.append(fields)
    return sorted(events, key=lambda event: (event["event_time"], event["transaction_id"]))


def rule_of(generator: ConditionGenerator, number: int) -> Rule:
    """A rule of random measures; every third one hits each transaction, so that all values are compared."""
    measures = tuple(random_measure(generator, f"m{at}", WINDOWS) for at in range(generator.randrange(6)))
    kinds = {measure.name: measure_kind(measure) for measure in measures}
    chosen = ConditionGenerator(generator.randrange(2**32), names={**FIELD_KINDS, **kinds})
    when = "true" if number % 3 == 0 else chosen.rule_condition()
    return Rule(f"rule-{number}", 1, "t", "card", Severity.LOW, Mode.LIVE, measures, when)
