"""The comparison of sets, and the command that prints it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from cardwatch_oracle import Verdict, expected_alerts, verify
from cardwatch_oracle.__main__ import judge
from typer.testing import CliRunner

RULES = """
rules:
  - id: twice
    version: 1
    scope: card
    measures: {payments: {window: 1m, is: count(*)}}
    when: payments >= 2
"""


@pytest.fixture
def transactions(tmp_path: Path) -> Path:
    file = tmp_path / "transactions.parquet"
    rows = [{"transaction_id": f"t{n}", "event_time": n * 1_000_000, "card_token": "c"} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    return file


def run(*arguments: str | Path) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(judge)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_equal_sets_hold_whatever_the_order_and_repetition(transactions: Path, rules: Path) -> None:
    expected = expected_alerts(transactions, rules, None)
    ids = [str(alert_id) for alert_id in expected["alert_id"].to_pylist()]
    verdict = verify(expected, [*reversed(ids), *ids])
    assert verdict == Verdict(expected=3, missing=[], extra=[])
    assert verdict.holds


def test_missing_and_extra_are_named(transactions: Path, rules: Path) -> None:
    expected = expected_alerts(transactions, rules, None)
    first, second, third = (str(alert_id) for alert_id in expected["alert_id"].to_pylist())
    verdict = verify(expected, iter([second, "stray-b", "stray-a"]))
    assert verdict == Verdict(expected=3, missing=[first, third], extra=["stray-a", "stray-b"])
    assert not verdict.holds
    assert str(verdict) == "3 expected, 2 missing, 2 extra"


def test_command_says_what_to_expect(transactions: Path, rules: Path, tmp_path: Path) -> None:
    output = tmp_path / "expected.parquet"
    code, said = run("--transactions", transactions, "--rules", rules, "--output", output)
    assert code == 0
    assert "3  twice" in said
    assert pq.read_table(output).equals(expected_alerts(transactions, rules, None))


def test_command_exits_by_its_verdict(transactions: Path, rules: Path, tmp_path: Path) -> None:
    ids = [str(alert_id) for alert_id in expected_alerts(transactions, rules, None)["alert_id"].to_pylist()]
    observed = tmp_path / "observed.txt"
    observed.write_text("\n".join(ids) + "\n")
    code, said = run("--transactions", transactions, "--rules", rules, "--alerts", observed)
    assert (code, "3 expected, 0 missing, 0 extra" in said) == (0, True)

    observed.write_text("\n".join([*ids[1:], "stray"]))
    code, said = run("--transactions", transactions, "--rules", rules, "--alerts", observed)
    assert (code, "3 expected, 1 missing, 1 extra" in said) == (1, True)
    assert f"missing {ids[0]}: twice for transaction t1 of card c" in said
    assert "extra   stray" in said


def test_command_refuses_wrong_input_with_a_sentence(rules: Path, tmp_path: Path) -> None:
    absent = tmp_path / "nowhere.parquet"
    code, said = run("--transactions", absent, "--rules", rules)
    assert code == 2
    assert said.startswith("Error: ")
    assert "nowhere.parquet" in said
    assert "Traceback" not in said

    text = tmp_path / "text.parquet"
    text.write_text("no parquet")
    code, said = run("--transactions", text, "--rules", rules)
    assert (code, "text.parquet is no Parquet file" in said) == (2, True)
