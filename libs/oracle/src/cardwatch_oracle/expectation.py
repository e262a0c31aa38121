"""The alerts that a set of transactions must raise, from the definitions of the rules."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import duckdb
import pyarrow as pa

from cardwatch_oracle.duckdb_conditions import profile_fields
from cardwatch_oracle.errors import OracleError
from cardwatch_oracle.lists import distinct
from cardwatch_oracle.profiles import SOURCES, check_use, compute_profiles, take_profiles
from cardwatch_oracle.rule_file import Rule, read_rules
from cardwatch_oracle.statement import rule_sql
from cardwatch_oracle.transactions import (
    add_base_amount,
    add_bin_country,
    add_merchant_category_group,
    add_times,
    columns_of,
    database,
    first_line,
)

# Repeated instead of imported: if the evaluator's namespace changes, the comparison must fail.
ALERT_NAMESPACE: Final = UUID("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11")

_COLUMNS: dict[str, pa.DataType] = {
    "rule_id": pa.string(),
    "rule_version": pa.int64(),
    "scope": pa.string(),
    "key": pa.string(),
    "transaction_id": pa.string(),
    "event_time": pa.int64(),
    "measures": pa.string(),
    "alert_id": pa.string(),
    "status": pa.string(),
    "suppressed_by": pa.string(),
}
EXPECTED_ALERTS: Final = pa.schema(_COLUMNS)
_ORDER: Final = [(name, "ascending") for name in ("event_time", "transaction_id", "rule_id", "rule_version")]


def expected_alerts(
    transactions: pa.Table | Path,
    rules_file: Path,
    rates_file: Path | None = None,
    *,
    category_groups_file: Path | None = None,
    bin_countries_file: Path | None = None,
    lists: Mapping[str, Iterable[str]] | None = None,
    profiles: pa.Table | None = None,
) -> pa.Table:
    """The final set of alerts of all rules that are not paused, shadow rules and suppressed alerts included.

    `transactions` has the fields of transaction.avsc, in any order, duplicates allowed; what the enricher adds is
    computed here where the columns are absent: base_amount_minor from `rates_file` (currency, exponent, rate_e8),
    merchant_category_group from `category_groups_file` (first, last, group),
    bin_country from `bin_countries_file` (bin, country). `lists` are what `x in list('name')` looks into; one that is
    not among them is empty. `profiles`, with the fields of card_profile.avsc (valid_on in microseconds since the epoch
    or as a timestamp), are what `profile.x` looks into: a card that has no row for a day has no profile then. Without
    that table they are computed from the transactions, which have to go back 91 days for them.

    Returns a table with the schema EXPECTED_ALERTS, ordered by event_time (microseconds since the epoch), transaction
    and rule; `measures` is JSON, name to value; `status` is raised or suppressed, and `suppressed_by` the id of the
    alert that a suppressed one is counted on.

    Raises OracleError with one sentence if the expected alerts cannot be computed.
    """
    rules = [rule for rule in read_rules(rules_file) if rule.mode != "paused"]
    known_lists = distinct(lists)
    for rule in rules:
        check_use(rule)
    with_profiles = any(profile_fields(rule.when) for rule in rules)
    needed = frozenset(SOURCES if with_profiles and profiles is None else ()).union(*(rule.names() for rule in rules))
    with database(transactions) as connection:
        _enrich(connection, needed, rates_file, category_groups_file, bin_countries_file)
        if profiles is not None:
            take_profiles(connection, profiles)
        elif with_profiles:
            compute_profiles(connection)
        alerts = [_alerts(connection, rule, known_lists) for rule in rules]
    return pa.concat_tables([EXPECTED_ALERTS.empty_table(), *alerts]).sort_by(_ORDER)


def alert_id(rule_id: str, version: int, transaction_id: str) -> str:
    """UUIDv5 of `rule_id|version|transaction_id`."""
    return str(uuid5(ALERT_NAMESPACE, f"{rule_id}|{version}|{transaction_id}"))


def _alerts(connection: duckdb.DuckDBPyConnection, rule: Rule, lists: Mapping[str, Sequence[str]]) -> pa.Table:
    _check_fields(connection, rule)
    try:
        rows = connection.execute(rule_sql(rule, lists)).fetchall()
    except duckdb.Error as error:
        raise OracleError(f"rule {rule.rule_id} cannot be evaluated: {first_line(error)}") from error
    names = [measure.name for measure in rule.measures]
    transaction_ids = [str(row[1]) for row in rows]
    told_by = [row[-1] for row in rows]
    return pa.Table.from_pydict(
        {
            "rule_id": [rule.rule_id] * len(rows),
            "rule_version": [rule.version] * len(rows),
            "scope": [rule.scope] * len(rows),
            "key": [str(row[0]) for row in rows],
            "transaction_id": transaction_ids,
            "event_time": [row[2] for row in rows],
            "measures": [json.dumps(dict(zip(names, row[3:-1], strict=True)), default=str) for row in rows],
            "alert_id": [alert_id(rule.rule_id, rule.version, transaction_id) for transaction_id in transaction_ids],
            "status": ["raised" if teller is None else "suppressed" for teller in told_by],
            "suppressed_by": [
                None if teller is None else alert_id(rule.rule_id, rule.version, teller) for teller in told_by
            ],
        },
        schema=EXPECTED_ALERTS,
    )


def _check_fields(connection: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    fields = columns_of(connection)
    for name in [rule.key, *(field for measure in rule.measures for field in measure.fields)]:
        if name not in fields:
            raise OracleError(f"rule {rule.rule_id} uses {name}, which the transactions do not have")
    for measure in rule.measures:
        if measure.name in fields:
            raise OracleError(
                f"rule {rule.rule_id}: measure {measure.name} has the name of a transaction's field, give it another"
            )
        if measure.where:
            _check_sql(connection, measure.where, f"rule {rule.rule_id}, measure {measure.name}: where")
    _check_sql(connection, rule.when, f"rule {rule.rule_id}: when")


def _check_sql(connection: duckdb.DuckDBPyConnection, text: str, what: str) -> None:
    """Parses an expression on its own, so that the message names it and not the statement it is put in."""
    try:
        statements = connection.extract_statements(f"SELECT ({text}\n)")
    except duckdb.Error as error:
        raise OracleError(f"{what} is not an SQL expression: {first_line(error)}") from error
    if len(statements) != 1:
        raise OracleError(f"{what} must be one SQL expression, without ;")


def _enrich(
    connection: duckdb.DuckDBPyConnection,
    needed: frozenset[str],
    rates_file: Path | None,
    category_groups_file: Path | None,
    bin_countries_file: Path | None,
) -> None:
    absent = needed - columns_of(connection)
    if absent & {"hour_of_day", "day_of_week"}:
        add_times(connection)
    # Also if no rule needs it: a currency without a rate means that these are not the enriched transactions.
    if rates_file is not None and "base_amount_minor" not in columns_of(connection):
        add_base_amount(connection, rates_file)
    if "merchant_category_group" in absent and category_groups_file is not None:
        add_merchant_category_group(connection, category_groups_file)
    if "bin_country" in absent and bin_countries_file is not None:
        add_bin_country(connection, bin_countries_file)
    for name, source in (
        ("base_amount_minor", "the exchange rates (--rates)"),
        ("merchant_category_group", "the merchant category groups (--category-groups)"),
        ("bin_country", "the countries of BINs (--bin-countries)"),
    ):
        if name in absent - columns_of(connection):
            raise OracleError(f"a rule uses {name}, which the transactions do not have: give {source}")
