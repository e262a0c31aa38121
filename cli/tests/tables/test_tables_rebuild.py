"""``cardwatch tables rebuild``: alerts from silver, rules with their history, comparison. Spark's steps: tests/e2e."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_cli.main import app
from cardwatch_cli.tables.rebuild.alerts import AlertTables, rebuild_alerts
from cardwatch_cli.tables.rebuild.compare import compare_table
from cardwatch_cli.tables.rebuild.rules import Era, RulesInForce, eras_of, from_file
from cardwatch_cli.tables.rebuild.services import run_service
from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.identity import alert_id
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import GOLD_ALERTS
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rules.model import Mode
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
MINUTE = timedelta(minutes=1)
MOMENT = pa.timestamp("us", "UTC")
RULE = """
- id: many
  title: Many payments
  scope: card
  severity: high
  mode: live
  measures:
    n: {window: 10m, is: count(*)}
    mean: {window: 10m, is: mean(amount_minor)}
    shop: {window: 10m, is: first(merchant_id)}
  when: n >= 3
  suppress: 2m
"""
TEXTS = ("card_token", "card_bin", "card_last_four", "merchant_id", "country", "currency", "status", "transaction_id")
WHOLE = ("amount_minor", "base_amount_minor")
SILVER = pa.schema(
    [
        *((name, pa.string()) for name in TEXTS),
        *((name, pa.int64()) for name in WHOLE),
        *((name, MOMENT) for name in ("event_time", "raw_broker_time", "silver_broker_time")),
    ]
)
MEASURE = pa.struct(
    [
        *((name, pa.string()) for name in ("name", "expression")),
        ("window_us", pa.int64()),
        ("value", pa.float64()),
        ("value_long", pa.int64()),
        ("text", pa.string()),
    ]
)
TYPES = {
    "STRING": pa.string(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "TIMESTAMP": MOMENT,
    "ARRAY<STRING>": pa.list_(pa.string()),
}
ALERTS = pa.schema([(name, TYPES.get(kind, pa.list_(MEASURE))) for name, kind in GOLD_ALERTS.columns.items()])


def put(tables: Path, name: str, rows: list[dict[str, Any]], schema: pa.Schema, **options: Any) -> None:
    write_deltalake(tables / name.replace(".", "/"), pa.Table.from_pylist(rows, schema), **options)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Six payments of a card, a minute apart; each arrived ten seconds after its event time."""
    rows = []
    for number in range(6):
        at = START + number * MINUTE
        came = at + timedelta(seconds=10)
        texts = dict.fromkeys(TEXTS, "x") | {"transaction_id": f"t{number}", "status": "approved"}
        rows.append(
            {**texts, **dict.fromkeys(WHOLE, 100 + number), "event_time": at, "raw_broker_time": came}
            | {"silver_broker_time": came}
        )
    put(tmp_path / "live", "silver.transactions", rows, SILVER)
    return tmp_path / "live"


def rules(tmp_path: Path) -> RulesInForce:
    file = tmp_path / "rules.yaml"
    file.write_text(RULE)
    return from_file(file, None)


def rebuilt(lake: Path, to: Path, found: RulesInForce) -> tuple[Any, dict[str, dict[str, Any]]]:
    put(to, "gold.alerts", [], ALERTS)
    made = rebuild_alerts(AlertTables(live=str(lake), silver=str(lake), rebuilt=str(to)), found, ["card"])
    rows = DeltaTable(to / "gold/alerts").to_pyarrow_table().to_pylist()
    assert len({row["alert_id"] for row in rows}) == len(rows) == made.rows
    return made, {row["transaction_id"]: row for row in rows}


def identity(number: int, version: int = 1) -> str:
    return alert_id("many", version, f"t{number}")


def test_alerts_are_rebuilt_with_known_columns_of_the_live_table(lake: Path, tmp_path: Path) -> None:
    blank = dict.fromkeys(ALERTS.names)
    known = {**blank, "alert_id": identity(2), "status": "raised", "detected_at": START, "alert_offset": 7}
    known |= {"evidence_transaction_ids": ["t0", "t1", "t2"], "evidence_count": 3}
    gone = {**blank, "alert_id": "gone", "status": "retracted", "transaction_id": "t1", "alert_offset": 3}
    put(lake, "gold.alerts", [known, gone], ALERTS)
    made, found = rebuilt(lake, tmp_path / "to", rules(tmp_path))
    assert (made.retracted, made.without_live_columns, made.late) == (1, 3, 0)
    assert {name: row["status"] for name, row in found.items()} == {
        "t1": "retracted", "t2": "raised", "t3": "suppressed", "t4": "raised", "t5": "suppressed",
    }  # fmt: skip
    assert found["t1"] == gone
    row = found["t2"]
    assert row["alert_id"] == identity(2)
    assert (row["detected_at"], row["alert_offset"], row["evidence_count"]) == (START, 7, 3)
    assert (row["event_time"], row["window_start"]) == (START + 2 * MINUTE, START - 8 * MINUTE)
    assert (row["key"], row["amount_minor"], row["rule_title"], row["mode"]) == ("x", 102, "Many payments", "live")
    assert [(m["name"], m["value"], m["value_long"], m["text"]) for m in row["measures"]] == [
        ("n", 3.0, 3, None), ("mean", 101.0, None, None), ("shop", None, None, "x"),
    ]  # fmt: skip
    assert found["t3"]["suppressed_by"] == identity(2)
    assert found["t3"]["detected_at"] is None
    assert found["t3"]["raw_broker_time"] == START + 3 * MINUTE + timedelta(seconds=10)


def test_a_rule_evaluates_the_transactions_that_arrived_while_it_was_in_force(lake: Path, tmp_path: Path) -> None:
    (rule,) = (era.rule for era in rules(tmp_path).eras)
    rule = replace(rule, suppress_us=None)
    change = START_US + 3 * 60_000_000 + 30_000_000  # after t3 came, before t4
    found = RulesInForce([Era(rule, START_US, change), Era(replace(rule, version=2), change)], {})
    _, rows = rebuilt(lake, tmp_path / "to", found)
    assert {name: row["rule_version"] for name, row in rows.items()} == {"t2": 1, "t3": 1, "t4": 2, "t5": 2}
    assert rows["t4"]["alert_id"] == identity(4, version=2)


def test_transactions_that_no_detector_evaluated_are_left_out(lake: Path, tmp_path: Path) -> None:
    late = pa.schema([("transaction_id", pa.string()), ("scopes", pa.list_(pa.string()))])
    rows = [{"transaction_id": "t3", "scopes": ["card"]}, {"transaction_id": "t4", "scopes": ["merchant"]}]
    put(lake, "bronze.late", [*rows, {"transaction_id": "t5", "scopes": None}], late)
    made, found = rebuilt(lake, tmp_path / "to", rules(tmp_path))
    assert made.late == 2
    assert found.keys() == {"t2", "t4", "t5"}
    assert found["t4"]["measures"][0]["value_long"] == 4


def change(revision: int, action: Action, mode: Mode, at: int, version: int = 1, when: str = "n >= 3") -> Change:
    definition = (
        f"id: r\ntitle: T\nscope: card\nseverity: low\nmeasures:\n  n: {{window: 1h, is: count(*)}}\nwhen: {when}\n"
    )
    return Change("r", revision, version, action, "card", mode, definition, "", "me", at, f"c{revision}")


def test_eras_follow_the_history_of_a_rule() -> None:
    book = Rulebook()
    for one in (
        change(1, Action.APPLIED, Mode.SHADOW, 10),
        change(2, Action.PROMOTED, Mode.LIVE, 20),
        change(3, Action.APPLIED, Mode.LIVE, 30, version=2, when="n >= 4"),
        change(4, Action.PAUSED, Mode.PAUSED, 40, version=2, when="n >= 4"),
        change(5, Action.RESUMED, Mode.LIVE, 50, version=2, when="n >= 4"),
        change(6, Action.APPLIED, Mode.LIVE, 60, version=2, when="n >= 4"),
        change(7, Action.DELETED, Mode.LIVE, 70, version=2, when="n >= 4"),
        change(8, Action.APPLIED, Mode.LIVE, 80, version=3, when="no such measure"),
        change(9, Action.APPLIED, Mode.LIVE, 90, version=4),
        change(10, Action.APPLIED, Mode.LIVE, 100, version=-1),
    ):
        assert book.accept(one)
    eras, notices = eras_of(book)
    assert [(era.rule.version, era.rule.mode.value, era.start_us, era.end_us) for era in eras] == [
        (1, "shadow", 10, 20),
        (1, "live", 20, 30),
        (2, "live", 30, 40),
        (2, "live", 50, 70),
        (4, "live", 90, 100),
    ]
    (unreadable, without_version) = notices
    assert "revision 8 of rule r" in unreadable
    assert "revision 10 of rule r has the version -1, expected 1 to 2147483647" in without_version


def test_a_comparison_reports_missing_extra_and_different_rows(tmp_path: Path) -> None:
    schema = pa.schema([("card_token", pa.string()), ("day", pa.string()), ("transactions", pa.int64())])
    rows = [{"card_token": card, "day": "d", "transactions": 1} for card in "abc"]
    put(tmp_path / "live", "gold.card_days", rows, schema)
    put(tmp_path / "same", "gold.card_days", rows[::-1], schema)
    put(tmp_path / "other", "gold.card_days", [rows[0], {**rows[1], "transactions": 2}], schema)
    live = Catalog(str(tmp_path / "live"))
    assert compare_table(live, Catalog(str(tmp_path / "same")), "gold.card_days").equal
    found = compare_table(live, Catalog(str(tmp_path / "other")), "gold.card_days")
    assert (found.live, found.rebuilt, found.missing, found.extra, found.different) == (3, 2, 1, 0, 1)
    assert found.columns == ("transactions",)
    assert found.example in ("b d", "c d")
    assert not found.equal


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "silver,copper"], "silver, gold, alerts, got.*copper"),
        (["--only", "alerts", "--scopes", "card,shop"], "expected card, merchant, device, ip, bin, got 'shop'"),
        (["--only", "silver"], "no table bronze.transactions"),
        (["--only", "alerts"], "contains gold.alerts already"),
    ],
)
def test_mistakes_are_one_sentence_before_any_work(
    lake: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    to = tmp_path / "to"
    put(to, "gold.alerts", [], ALERTS)
    outcome = CliRunner().invoke(app, ["tables", "rebuild", "--tables-dir", str(lake), "--to", str(to), *arguments])
    assert outcome.exit_code == 1
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(outcome.output.replace("\n", " "))


def test_the_tables_are_never_overwritten(lake: Path) -> None:
    outcome = CliRunner().invoke(app, ["tables", "rebuild", "--tables-dir", str(lake), "--to", f"{lake}/"])
    assert outcome.exit_code == 1
    assert "expected another directory than that of the live tables" in outcome.output


def test_the_error_of_a_failed_service_is_shown() -> None:
    with pytest.raises(CardwatchError, match=r"cardwatch rules failed: .*no such file"):
        list(run_service("cardwatch", ["rules", "validate", "no such file.yaml"], {"PATH": "/usr/bin:/bin"}))
    with pytest.raises(CardwatchError, match="not installed"):
        list(run_service("cardwatch-nothing", [], {}))
