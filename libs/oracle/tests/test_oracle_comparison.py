"""The comparison of sets, and the command that prints it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from cardwatch_oracle import Comparison, ObservedAlert, OracleError, expected_alerts, read_lists, verify
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


def test_equal_sets_hold_in_any_order_and_with_repetitions(transactions: Path, rules: Path) -> None:
    expected = expected_alerts(transactions, rules, None)
    ids = [str(alert_id) for alert_id in expected["alert_id"].to_pylist()]
    comparison = verify(expected, [*reversed(ids), *ids])
    assert comparison == Comparison(expected=3, missing=[], extra=[])
    assert comparison.holds


def test_missing_and_extra_are_named(transactions: Path, rules: Path) -> None:
    expected = expected_alerts(transactions, rules, None)
    first, second, third = (str(alert_id) for alert_id in expected["alert_id"].to_pylist())
    comparison = verify(expected, iter([second, "stray-b", "stray-a"]))
    assert comparison == Comparison(expected=3, missing=[first, third], extra=["stray-a", "stray-b"])
    assert not comparison.holds
    assert str(comparison) == "3 expected, 2 missing, 2 extra"


@pytest.fixture
def suppressing(tmp_path: Path) -> Path:
    """The same rule, which raises t1 and suppresses t2 and t3."""
    file = tmp_path / "suppressing.yaml"
    file.write_text(RULES + "    suppress: 1m\n")
    return file


def observed(expected: pa.Table) -> list[ObservedAlert]:
    return [ObservedAlert(*row.values()) for row in expected.select(ObservedAlert._fields).to_pylist()]


def test_suppressed_alerts_are_expected_with_what_suppressed_them(transactions: Path, suppressing: Path) -> None:
    expected = expected_alerts(transactions, suppressing)
    first, second, third = observed(expected)
    assert (first.status, second.status, third.status) == ("raised", "suppressed", "suppressed")
    assert verify(expected, [third, second, first, second]).holds
    assert verify(expected, expected).holds

    # One raised instead, one counted on another, one not seen at all.
    raised = second._replace(status="raised", suppressed_by=None)
    misled = third._replace(suppressed_by=second.alert_id)
    assert verify(expected, [raised, misled]) == Comparison(
        expected=3,
        missing=[first.alert_id, second.alert_id, third.alert_id],
        extra=sorted([second.alert_id, third.alert_id]),
    )
    # Seen as it should be, and otherwise: extra, not missing.
    assert verify(expected, [first, second, raised, third]) == Comparison(3, [], [second.alert_id])


def test_bare_ids_are_compared_by_identity(transactions: Path, suppressing: Path) -> None:
    expected = expected_alerts(transactions, suppressing)
    first, second, third = observed(expected)
    assert verify(expected, [alert.alert_id for alert in (first, second, third)]).holds
    assert verify(expected, expected.select(["alert_id"])).holds
    assert verify(expected, [first.alert_id]).missing == [second.alert_id, third.alert_id]


def test_command_compares_the_status_of_alerts(transactions: Path, suppressing: Path, tmp_path: Path) -> None:
    first, second, third = observed(expected_alerts(transactions, suppressing))
    file = tmp_path / "observed.csv"
    lines = [
        f"{first.alert_id},raised,",
        *(f"{x.alert_id},{x.status},{x.suppressed_by}" for x in (second, third)),
    ]
    file.write_text("\n".join(lines))
    code, said = run("--transactions", transactions, "--rules", suppressing, "--alerts", file)
    assert (code, "1  twice and 2 suppressed" in said) == (0, True)

    file.write_text("\n".join([lines[0], f"{second.alert_id},raised,", lines[2]]))
    code, said = run("--transactions", transactions, "--rules", suppressing, "--alerts", file)
    assert (code, "3 expected, 1 missing, 1 extra" in said) == (1, True)
    assert f"suppressed by {first.alert_id}" in said

    file.write_text("\n".join([*lines, "x,retracted,"]))
    code, said = run("--transactions", transactions, "--rules", suppressing, "--alerts", file)
    assert (code, "line 4" in said) == (2, True)


def test_command_takes_lists(transactions: Path, tmp_path: Path) -> None:
    rules, lists = tmp_path / "rules.yaml", tmp_path / "lists.yaml"
    rules.write_text("- {id: watched, scope: card, when: transaction_id in list('watched')}")
    lists.write_text("watched: [t0, t2]\nnobody: []\n")
    code, said = run("--transactions", transactions, "--rules", rules, "--lists", lists)
    assert (code, "2  watched" in said) == (0, True)
    code, said = run("--transactions", transactions, "--rules", rules)
    assert (code, "0  alerts expected" in said) == (0, True)
    code, said = run("--transactions", transactions, "--rules", rules, "--lists", tmp_path / "absent.yaml")
    assert (code, "absent.yaml cannot be read" in said) == (2, True)


@pytest.mark.parametrize("text", ["[a, b]", "a: b", "a: {b: c}", "a: [400000]", "1: [a]", "a: [", "a: [null]"])
def test_wrong_lists_are_refused_with_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lists.yaml"
    file.write_text(text)
    with pytest.raises(OracleError) as refused:
        read_lists(file)
    assert "\n" not in str(refused.value)


def test_command_prints_the_expected_numbers(transactions: Path, rules: Path, tmp_path: Path) -> None:
    output = tmp_path / "expected.parquet"
    code, said = run("--transactions", transactions, "--rules", rules, "--output", output)
    assert code == 0
    assert "3  twice" in said
    assert pq.read_table(output).equals(expected_alerts(transactions, rules, None))


def test_the_exit_code_follows_from_the_comparison(transactions: Path, rules: Path, tmp_path: Path) -> None:
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
    assert (code, "text.parquet is not a Parquet file" in said) == (2, True)
