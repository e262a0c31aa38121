"""The definition of a rule as one SELECT."""

from collections.abc import Mapping, Sequence

from cardwatch_oracle.duckdb_conditions import condition_sql, profile_fields
from cardwatch_oracle.measures import (
    PLACE,
    aggregate_sql,
    is_of_a_row,
    join_sql,
    place_name,
    place_sql,
    row_sql,
    where_name,
)
from cardwatch_oracle.profiles import join_sql as profile_join_sql
from cardwatch_oracle.rule_file import Rule
from cardwatch_oracle.suppression import told_by_sql
from cardwatch_oracle.transactions import quoted


def rule_sql(rule: Rule, lists: Mapping[str, Sequence[str]]) -> str:
    """Selects the hits of a rule from `transactions`: key, transaction_id, event_time, each measure, `told by`.

    `told by` is the id of the transaction whose alert the hit is counted on, null where it raises one of its own.
    A rule that names a profile also reads the table `profiles`.
    Columns of the statement's own have names with a space, so that they cannot collide with a field or a measure.
    """
    key = quoted(rule.key)
    aggregates = [measure for measure in rule.measures if not is_of_a_row(measure)]
    of_a_row = [measure for measure in rule.measures if is_of_a_row(measure)]
    # The line break before the closing bracket ends a comment with which a rule's text may end.
    wheres = [
        f"({condition_sql(measure.where, lists)}\n) AS {where_name(measure)}"
        for measure in rule.measures
        if measure.where
    ]
    framed = [
        *(f"{aggregate_sql(measure, key)} AS {quoted(measure.name)}" for measure in aggregates),
        *(f"{place_sql(measure, key)} AS {place_name(measure)}" for measure in of_a_row),
    ]
    found = [f"{row_sql(measure, 'framed')} AS {quoted(measure.name)}" for measure in of_a_row]
    joins = "\n".join(join_sql(measure, "placed", "framed") for measure in of_a_row)
    profile = profile_join_sql("measured") if profile_fields(rule.when) else ""
    told = told_by_sql("hits", key, rule.suppress_us) if rule.suppress_us else 'SELECT *, NULL AS "told by" FROM hits'
    names = [key, "transaction_id", "event_time", *(quoted(measure.name) for measure in rule.measures), '"told by"']
    return f"""WITH placed AS MATERIALIZED (
  {_select(["*", f"row_number() OVER (ORDER BY {key}, event_time, transaction_id) AS {PLACE}", *wheres])}
  FROM transactions
  WHERE {key} IS NOT NULL
), framed AS (
  {_select(["*", *framed])}
  FROM placed
), measured AS (
  {_select(["framed.*", *found])}
  FROM framed
  {joins}
), hits AS (
  SELECT measured.*
  FROM measured
  {profile}
  WHERE ({condition_sql(rule.when, lists)}
  )
)
SELECT {", ".join(names)} FROM ({told}
)"""  # noqa: S608


def _select(columns: Sequence[str]) -> str:
    return "SELECT " + ",\n    ".join(columns)
