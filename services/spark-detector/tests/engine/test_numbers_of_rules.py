"""Whatever number a rule has, it is refused when the rule is read, or the engine takes it and evaluates the rule."""

from typing import Final

import numpy as np
import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.evaluate import evaluate
from cardwatch_rules.fields import FIELD_KINDS, polars_schema
from cardwatch_rules.model import Rule
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.program.document import lists_json, program_json
from hypothesis import example, given
from hypothesis import strategies as st
from support.engine_console import EngineConsole
from support.random_examples import random_examples

SECOND: Final = 1_000_000

_EDGES: Final = [
    edge + around
    for edge in (0, 200, 2**31, 2**32, 2**53, 2**63, 2**64, 10**18, 10**40, 36_500, 36_500 * 24 * 3600)
    for around in (-1, 0, 1)
]
whole = st.one_of(st.sampled_from(_EDGES), st.integers(-(2**70), 2**70), st.integers(-3, 400)).map(str)
fractions = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False)
)
number = st.one_of(
    whole, fractions.map(str), st.sampled_from(["1e400", "-1e400", "5e-324", "1e-400", "0." + "0" * 400 + "1"])
)
duration = st.builds("{}{}".format, whole, st.sampled_from(["s", "m", "h", "d"]))
condition = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["amount_minor", "latitude", "n", "m"]),
        st.sampled_from([">", "<=", "="]),
        number,
    ),
    st.builds("left(merchant_id, {}) = 'm'".format, whole),
    st.builds("right(merchant_id, {}) = 'm'".format, number),
    st.builds("amount_minor in ({}, {})".format, number, number),
    st.builds("amount_minor between {} and {}".format, number, number),
    st.builds("{} * amount_minor + {} > n - {}".format, number, number, number),
    st.builds("amount_minor / {} >= {} % {}".format, number, number, number),
    st.builds("greatest(n, {}) < abs(-{})".format, number, whole),
    st.builds("case when amount_minor > {} then {} else {} end > 1".format, number, number, number),
)


condition_of_fields = st.builds("amount_minor > {}".format, number)


@st.composite
def rule(draw: st.DrawFn) -> str:
    """A rule file in which one or two entries have any number."""
    usual = {"version": "1", "suppress": "1h", "window": "1h", "where": "amount_minor > 0", "when": "n > 1"}
    drawn = {
        "version": number,
        "suppress": duration,
        "window": duration,
        "where": condition_of_fields,
        "when": condition,
    }
    changed = draw(st.sets(st.sampled_from(sorted(drawn)), min_size=1, max_size=2))
    entries = {**usual, **{name: draw(drawn[name]) for name in sorted(changed)}}
    return f"""
rules:
  - id: r
    title: t
    scope: card
    version: {entries["version"]}
    suppress: {entries["suppress"]}
    measures:
      n: {{window: {entries["window"]}, is: count(*), where: "{entries["where"]}"}}
      m: {{window: {entries["window"]}, is: mean(amount_minor)}}
    when: "{entries["when"]}"
"""


EVENTS: Final = [
    {
        **dict.fromkeys(FIELD_KINDS),
        **{"transaction_id": f"t{at}", "event_time": at * SECOND, "card_token": "c", "amount_minor": amount},
        **{"merchant_id": "m1", "latitude": 48.1},
    }
    for at, amount in enumerate((0, 1, 5000, 2**62))
]


@random_examples(1200, deadline=None)
@given(rule())
@example(f"""
rules:
- {{id: r, title: t, scope: card, version: 1, suppress: 1h, measures: {{}}, when: "left(merchant_id, {2**63}) = 'm'"}}
""")
def test_a_rule_that_is_read_is_one_that_the_engine_evaluates(engine: EngineConsole, text: str) -> None:
    try:
        rules = parse_rules(text)
    except ConfigurationError:
        return
    (parsed,) = rules
    answer = engine.rules(program_json(rules), lists_json({}), EVENTS)
    assert answer["set_aside"] == {}
    assert [hit[0] for hit in answer["hits"]["r"]][::-1] == _hits_in_polars(parsed)


def _hits_in_polars(parsed: Rule) -> list[int]:
    schema = {**polars_schema(), "event_time": pl.Int64(), "group": pl.Int64()}
    frame = pl.DataFrame([{**event, "group": 0} for event in EVENTS], schema=schema)
    found = evaluate(frame, np.arange(len(EVENTS)), [parsed], {})
    return found[0].rows.tolist() if found else []
