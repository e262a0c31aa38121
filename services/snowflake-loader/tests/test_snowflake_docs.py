"""docs/snowflake.md: its SQL runs, as far as fakesnow supports it, and its lists are complete."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_lakehouse.tables import ALL_TABLES, GOLD_ALERTS, Table
from cardwatch_snowflake import metrics, statements
from support.fake_snowflake import fakesnow_instance

PAGE: Final = (Path(__file__).parents[3] / "docs/snowflake.md").read_text()
SETUP, FLATTEN, WATCH = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
# fakesnow knows no warehouses, roles, users or grants; those are looked at as text.
NOT_RUN: Final = r"CREATE (WAREHOUSE|ROLE|USER)|GRANT "


def statements_of(block: str) -> list[str]:
    code = re.sub(r"--.*", "", block)
    return [" ".join(statement.split()) for statement in code.split(";") if statement.strip()]


def test_the_set_up_creates_what_the_loader_needs(make_replication: Callable[..., Any]) -> None:
    rates = Table("gold.rates", {"id": "STRING"}, key=("id",))
    replication = make_replication(rates)
    instance = fakesnow_instance.FakeSnow(
        nop_regexes=["REMOVE ", NOT_RUN], create_database_on_connect=False, create_schema_on_connect=False
    )
    connection = instance.connect()
    for statement in statements_of(SETUP):
        connection.cursor().execute(statement)
    replication.account.instance.duck_conn.close()
    replication.account.instance = instance
    replication.lake.write(rates, [{"id": "a"}])
    replication.catch_up()  # in CARDWATCH.GOLD, which the set-up has made
    replication.check_equal()


def test_the_loader_gets_the_rights_that_it_needs_and_no_others() -> None:
    granted = {
        (privilege.strip(), on)
        for privileges, on in re.findall(
            r"GRANT ([A-Z, ]+) ON (\S+) \S+ TO ROLE CARDWATCH_LOADER", "\n".join(statements_of(SETUP))
        )
        for privilege in privileges.split(",")
    }
    assert granted == {
        ("USAGE", "WAREHOUSE"),
        ("USAGE", "DATABASE"),
        ("USAGE", "SCHEMA"),
        ("CREATE TABLE", "SCHEMA"),
        ("CREATE STAGE", "SCHEMA"),
    }
    # What the loader creates, it owns; that it creates nothing but tables and a stage is what makes the list complete.
    source = (Path(statements.__file__)).read_text()
    assert set(re.findall(r"CREATE (?:OR REPLACE )?(?:TRANSIENT )?([A-Z]+)", source)) == {"TABLE", "STAGE"}


@pytest.mark.parametrize("table", [table for table in ALL_TABLES if table.name.startswith("gold.")])
def test_every_gold_table_is_described(table: Table) -> None:
    key = ", ".join(table.key).upper()
    assert f"| `{table.name}` | `{statements.target(table.name)}` | `{key}` |" in PAGE


def test_every_metric_is_described() -> None:
    for name in (value for key, value in vars(metrics).items() if key.isupper() and not key.startswith("_")):
        assert f"`{name}{{" in PAGE


def test_the_queries_run(make_replication: Callable[..., Any]) -> None:
    replication = make_replication(GOLD_ALERTS)
    row = dict.fromkeys(GOLD_ALERTS.columns)
    measure = {"name": "cards", "expression": "", "window_us": 1, "value": 5.0, "value_long": 5, "text": None}
    replication.lake.write(GOLD_ALERTS, [{**row, "alert_id": "a", "severity": "critical", "measures": [measure]}])
    replication.catch_up()
    (watched,) = replication.account.query(WATCH.rstrip().rstrip(";"))
    assert watched[:2] == ("gold.alerts", 0)
    assert replication.account.query(FLATTEN.rstrip().rstrip(";")) == [("a", "cards", 5)]
