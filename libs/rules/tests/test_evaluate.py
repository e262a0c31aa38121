"""Which transactions rules hit."""

import numpy as np
import polars as pl
import pytest
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.parse import parse_rules
from polars.exceptions import PolarsError

RULES = parse_rules("""
- {id: good, title: t, scope: card, when: n >= 2, measures: {n: {window: 10s, is: count(*)}}}
- {id: no-field, title: t, scope: card, when: n >= 1 and country = 'DE', measures: {n: {window: 10s, is: count(*)}}}
- {id: no-measure, title: t, scope: card, when: s >= 1, measures: {s: {window: 10s, is: sum(amount_minor)}}}
- {id: bare, title: t, scope: card, when: base_amount_minor % 2 = 1}
""")
FRAME = pl.DataFrame(
    {"group": [0, 0, 1], "event_time": [1, 2, 3], "transaction_id": ["a", "b", "c"], "base_amount_minor": [1, 2, None]}
)


def test_a_rule_of_a_field_that_is_not_there_is_an_error() -> None:
    assert [(hits.rule.rule_id, hits.rows.tolist()) for hits in evaluate(FRAME, np.arange(3), RULES[::3])] == [
        ("good", [1]), ("bare", [0]),
    ]  # fmt: skip
    with pytest.raises(PolarsError):
        evaluate(FRAME, np.arange(3), RULES)


def test_two_versions_of_a_rule_are_evaluated_separately() -> None:
    (low,) = parse_rules(
        "- {id: good, title: t, scope: card, when: n >= 1, measures: {n: {window: 10s, is: count(*)}}}"
    )
    found = evaluate(FRAME, np.arange(3), [RULES[0], low])
    assert [hits.rows.tolist() for hits in found] == [[1], [0, 1, 2]]


def test_arithmetic_is_that_of_sql() -> None:
    frame = FRAME.with_columns(base_amount_minor=pl.Series([-7, 0, 4]), country=pl.Series(["DE", None, "F_"]))
    for text, rows in {
        "base_amount_minor % 4 = -3": [0],
        "5 / base_amount_minor > 1": [2],
        "5 % base_amount_minor = 1": [2],
        "not (5 / base_amount_minor > 1)": [0],
        "base_amount_minor / 8 = 0.5": [2],
        "country like 'f%'": [],
        "country like 'F\\\\_'": [],
        "country like '_E'": [0],
        "country not like 'F%'": [0],
        "country <> 'DE'": [2],
        "coalesce(country, '') = ''": [1],
        "greatest(base_amount_minor, 1) = 1": [0, 1],
        "case when base_amount_minor > 0 then 'x' end = 'x'": [2],
        "country in list('known')": [0],
        "country not in list('known')": [2],
        "country not in list('nobody-made-it')": [0, 2],
        "right(country, 1) = 'E' and left(country, 1) = 'D'": [0],
        "base_amount_minor between -7 and 0": [0, 1],
        "(country is null) = true": [1],
        "true": [0, 1, 2],
    }.items():
        (rule,) = parse_rules(f'- {{id: r, title: t, scope: card, when: "{text}"}}')
        found = evaluate(frame, np.arange(3), [rule], {"known": frozenset({"DE", "AT"})})
        assert [row for hits in found for row in hits.rows.tolist()] == rows, text
