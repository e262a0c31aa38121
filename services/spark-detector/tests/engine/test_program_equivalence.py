"""Programs mean the same in the JVM as in Polars, on random conditions over the whole language and hostile values."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from cardwatch_rules.fields import PROFILE_FIELDS, polars_schema
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.program.condition import FIELDS, compile_condition
from cardwatch_rules.program.instructions import Expression, Op
from cardwatch_rules.program.polars_conditions import polars_condition
from cardwatch_rules.type_check import Kind, require_condition
from support.engine_console import EngineConsole
from support.random_conditions import LISTS, MEASURES, ConditionGenerator

# The first ones in every run.
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(2, 24))]
ROWS = 24
CONDITIONS = 250
MEASURE_COLUMNS = [f"measure {name}" for name in MEASURES]
NAMES = (
    FIELDS
    | {name: Expression(Op.MEASURE, kind, value=at) for at, (name, kind) in enumerate(MEASURES.items())}
    | {f"profile.{name}": Expression(Op.PROFILE, kind, value=name) for name, kind in PROFILE_FIELDS.items()}
)


@pytest.mark.parametrize("seed", SEEDS)
def test_same_values_as_polars(engine: EngineConsole, seed: int) -> None:
    generator = ConditionGenerator(seed)
    rows = [generator.row() for _ in range(ROWS)]
    parts: dict[Expression, str] = {}
    for _ in range(CONDITIONS):
        text = generator.rule_condition()
        require_condition(text, generator.names)
        for part in parts_of(compile_condition(text, NAMES)):
            parts.setdefault(part, text)
    expected = polars_values(list(parts), rows)
    found = engine.values(list(parts), rows, LISTS, [kind.value for kind in MEASURES.values()])
    for (part, text), in_polars, in_java in zip(parts.items(), expected, found, strict=True):
        for row, one, other in zip(rows, in_polars, in_java, strict=True):
            assert same(one, other), f"`{text}`: {part}\non {row}\nis {one!r} in Polars, {other!r} in Java"


def parts_of(expression: Expression) -> Iterator[Expression]:
    """An expression and all its parts that have a value of their own."""
    if expression.type not in {Kind.TEXTS, Kind.INTEGERS}:
        yield expression
    for part in (*expression.args, *expression.when):
        yield from parts_of(part)


def polars_values(expressions: list[Expression], rows: list[dict[str, Any]]) -> list[list[Any]]:
    """The values of each expression on each row."""
    schema = polars_schema()
    columns = {name: pl.Series([row["fields"][name] for row in rows], dtype=kind) for name, kind in schema.items()}
    for at, (name, kind) in enumerate(zip(MEASURE_COLUMNS, MEASURES.values(), strict=True)):
        columns[name] = pl.Series([row["measures"][at] for row in rows], dtype=polars_type(kind))
    for name, kind in PROFILE_FIELDS.items():
        columns[f"profile.{name}"] = pl.Series([row["profile"].get(name) for row in rows], dtype=polars_type(kind))
    found = pl.DataFrame(columns).select(
        pl.when(pl.repeat(value=True, n=pl.len())).then(polars_condition(part, LISTS, MEASURE_COLUMNS)).alias(str(at))
        for at, part in enumerate(expressions)
    )
    assert [column.dtype for column in found] == [polars_type(part.type) for part in expressions]
    return [column.to_list() for column in found]


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or (one != one and other != other))


@pytest.mark.parametrize("op", [Op.LOWER, Op.UPPER])
def test_same_letter_case_of_every_character(engine: EngineConsole, op: Op) -> None:
    expression = Expression(op, Kind.TEXT, (FIELDS["country"],))
    # No plane above these has letters of two cases.
    characters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    # Apart, so that none is within a word.
    texts = ["1".join(characters[begin : begin + 1_000]) for begin in range(0, len(characters), 1_000)]
    rows = [{"fields": {"transaction_id": "t", "country": text}, "measures": [], "profile": {}} for text in texts]
    in_polars = pl.DataFrame({"country": texts}).select(polars_condition(expression)).to_series().to_list()
    (in_java,) = engine.values([expression], rows, {}, [])
    differences = {
        (before, one, other)
        for text, polars_text, java_text in zip(texts, in_polars, in_java, strict=True)
        for before, one, other in zip(text.split("1"), polars_text.split("1"), java_text.split("1"), strict=True)
        if one != other
    }
    assert not differences
