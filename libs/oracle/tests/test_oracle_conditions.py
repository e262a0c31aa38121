"""Conditions hit the same rows in DuckDB, which the oracle asks, as in the rule engine."""

from typing import Final

import duckdb
import polars as pl
import pytest
from cardwatch_oracle.duckdb_conditions import condition_sql
from cardwatch_oracle.transactions import database
from cardwatch_rules.fields import FIELD_KINDS, polars_schema
from cardwatch_rules.program.condition import compile_where
from cardwatch_rules.program.polars_conditions import evaluate_conditions, polars_condition
from cardwatch_rules.type_check import require_condition
from support.random_conditions import LISTS, ConditionGenerator

CONDITIONS: Final = 250
ROWS: Final = 40


@pytest.mark.parametrize("seed", range(2))
def test_same_rows(seed: int) -> None:
    generator = ConditionGenerator(seed, tame=True, names=FIELD_KINDS)
    rows = [{**generator.row()["fields"], "transaction_id": f"{number:03}"} for number in range(ROWS)]
    frame = pl.DataFrame(rows, schema=polars_schema())
    lists = {name: sorted(values) for name, values in LISTS.items()}
    overflows = 0
    with database(frame.with_columns(event_time=pl.lit(0, dtype=pl.Int64)).to_arrow()) as connection:
        for _ in range(CONDITIONS):
            text = generator.rule_condition()
            require_condition(text, FIELD_KINDS)
            (hit,) = evaluate_conditions(frame, [polars_condition(compile_where(text), LISTS)])
            statement = f"SELECT ({condition_sql(text, lists)}) IS TRUE FROM transactions ORDER BY transaction_id"
            try:
                found = connection.execute(statement).fetchall()
            except duckdb.OutOfRangeException:
                overflows += 1
                continue
            assert [row for (row,) in found] == hit.to_list(), text
    assert overflows < CONDITIONS / 20
