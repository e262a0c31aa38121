"""``cardwatch rules``, with a topic in memory."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cardwatch_rulebook.status import RuleStatus, State
from cardwatch_rules.parse import parse_rules
from typer.testing import Result

RULE = """
  - id: {rule_id}
    title: "Many payments [with one card]"
    scope: {scope}
    severity: high
    measures:
      payments: {{window: {window}, is: count(*)}}
    when: payments >= {threshold}
"""

Run = Callable[..., Result]


@pytest.fixture
def rules(deployment: Any) -> Run:
    return partial(deployment.run, "rules")


def words(result: Result) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    return [line for line in lines if line and not line[0].startswith("─")][1:]


class Files:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, name: str = "rules.yaml", *ids: str, threshold: int = 5, more: str = "", **wanted: str) -> Path:
        said = {"scope": "card", "window": "2m", **wanted}
        texts = [RULE.format(rule_id=rule_id, threshold=threshold, **said) + more for rule_id in ids or ("spree",)]
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("rules:" + "".join(texts), encoding="utf-8")
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_validate_needs_no_broker(files: Files, rules: Run) -> None:
    result = rules("validate", files(), files("more/two.yml", "a", "b").parent)
    assert result.exit_code == 0
    assert "rules.yaml: 1 rule, valid" in result.output
    assert "two.yml: 2 rules, valid" in result.output


def test_validate_reports_every_invalid_file(files: Files, tmp_path: Path, rules: Run) -> None:
    wrong, far = files("wrong.yaml", "w", window="2x"), files("far.yaml", "f", window="31h")
    result = rules("validate", wrong, far, tmp_path / "none.yaml", files(), "--horizon", "card=30h")
    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert all(error.startswith("error: ") for error in errors)
    assert [name for error in errors for name in ("wrong", "far", "none") if f"{name}.yaml" in error] == [
        "wrong",
        "far",
        "none",
    ]
    assert "rules.yaml: 1 rule, valid" in result.stdout


def test_horizons_come_from_the_detectors_settings_too(
    files: Files, monkeypatch: pytest.MonkeyPatch, rules: Run
) -> None:
    far = files(window="25h")
    assert rules("validate", far).exit_code == 0
    monkeypatch.setenv("CARDWATCH_DETECTOR_HORIZON_CARD", "24h")
    assert rules("validate", far).exit_code == 1
    assert rules("validate", far, "--horizon", "card=30h").exit_code == 0
    for wrong in ("card", "planet=1h", "card=1x"):
        result = rules("validate", far, "--horizon", wrong)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")


def test_a_directory_without_rules_and_a_rule_in_two_files(files: Files, tmp_path: Path, rules: Run) -> None:
    (tmp_path / "empty").mkdir()
    assert "expected rule files (*.yaml) in" in rules("validate", tmp_path / "empty").stderr
    result = rules("validate", files(), files("again.yaml"))
    assert "rule spree is in" in result.stderr
    assert result.exit_code == 1


def test_apply_new_changed_unchanged(deployment: Any, files: Files, rules: Run) -> None:
    assert words(rules("apply", files("r.yaml", "a", "b"), "--dry-run")) == [
        ["a", "new", "1", "live", "1"],
        ["b", "new", "1", "live", "1"],
    ]
    assert deployment.rules == []
    rules("apply", files("r.yaml", "a", "b"))
    assert words(rules("apply", files("r.yaml", "a", "b"))) == [
        ["a", "unchanged", "1", "live", "1"],
        ["b", "unchanged", "1", "live", "1"],
    ]
    files("r.yaml", "a", threshold=6, more="    mode: shadow\n")
    assert words(rules("apply", files.directory)) == [["a", "changed", "1", "→", "2", "live", "→", "shadow", "2"]]
    assert len(deployment.rules) == 3


def test_nothing_is_written_where_one_file_is_wrong(deployment: Any, files: Files, rules: Run) -> None:
    result = rules("apply", files(), files("wrong.yaml", "w", scope="planet"), files("far.yaml", "f", window="2x"))
    assert result.exit_code == 1
    assert [line[:7] for line in result.stderr.splitlines()] == ["error: ", "error: "]
    assert deployment.rules == []


def test_a_version_that_is_not_higher_is_a_sentence(deployment: Any, files: Files, rules: Run) -> None:
    rules("apply", files(more="    version: 3\n"))
    result = rules("apply", files(threshold=9, more="    version: 3\n"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: rule spree has changed, but its version in the file, 3, is not higher")


def test_list_filters_and_states(deployment: Any, files: Files, rules: Run) -> None:
    rules("apply", files("r.yaml", "a", "b"), files("m.yaml", "m", scope="merchant", more="    mode: shadow\n"))
    rules("pause", "b")
    deployment.report_status(RuleStatus("velocity", "a", 1, 1, State.ACTIVE, "", 1))
    deployment.report_status(RuleStatus("velocity", "b", 1, 1, State.ACTIVE, "", 1))
    deployment.report_status(RuleStatus("second", "a", 1, 1, State.SET_ASIDE, "it divides by zero", 1))
    shown = rules("list")
    assert "[with one card]" in shown.stdout, "no markup"
    assert "second: set aside: it divides by zero" in shown.stdout
    assert "velocity: active (still at revision 1)" in shown.stdout
    assert "no detector reports it" in shown.stdout
    assert [row[0] for row in words(rules("list", "--scope", "merchant"))] == ["m"]
    assert [row[0] for row in words(rules("list", "--mode", "paused"))] == ["b"]
    assert rules("list", "--scope", "planet").stderr.startswith(
        "error: --scope: expected one of card, merchant, device, ip, bin, got `planet`"
    )
    listed = json.loads(rules("list", "--json").stdout)
    assert [(rule["id"], rule["mode"], rule["severity"]) for rule in listed] == [
        ("a", "live", "high"),
        ("b", "paused", "high"),
        ("m", "shadow", "high"),
    ]
    assert [(state["detector"], state["state"], state["error"]) for state in listed[0]["states"]] == [
        ("second", "set_aside", "it divides by zero"),
        ("velocity", "active", ""),
    ]
    assert listed[2]["states"] == []


def test_the_life_of_a_rule(deployment: Any, files: Files, rules: Run) -> None:
    rules("apply", files(more="    mode: shadow\n"), "-m", "a try", "--by", "ben")
    assert rules("promote", "spree", "-m", "40 right, 1 wrong").stdout == "spree promoted (revision 2)\n"
    assert rules("promote", "spree").stdout == "spree is live already\n"
    assert rules("pause", "spree", "spree").stdout == "spree paused (revision 3)\n"
    assert rules("resume", "spree").stdout == "spree resumed, now live (revision 4)\n"
    rules("apply", files(threshold=9))
    assert rules("delete", "spree", input="n\n").exit_code == 1
    assert rules("delete", "spree", "--yes").stdout == "spree deleted (revision 6)\n"
    assert words(rules("list")) == []
    assert "deleted by User:anna" in rules("pause", "spree").stderr
    assert "there is no rule spree" not in rules("pause", "spree").stderr
    rules("apply", files())
    history = json.loads(rules("history", "spree", "--json").stdout)
    assert [(change["revision"], change["version"], change["what"]) for change in history] == [
        (1, 1, "new, shadow"),
        (2, 1, "promoted"),
        (3, 1, "paused"),
        (4, 1, "resumed"),
        (5, 2, "changed when"),
        (6, 2, "deleted"),
        (7, 3, "applied again, live"),
    ]
    assert {(change["changed_by"], change["authenticated"]) for change in history} == {("User:anna", True)}
    assert [change["stated_name"] for change in history[:2]] == ["ben", ""]
    assert "User:anna (by: ben)" in rules("history", "spree").stdout
    assert [change["comment"] for change in history[:2]] == ["a try", "40 right, 1 wrong"]
    assert len(words(rules("history"))) == 7


def test_show(deployment: Any, files: Files, rules: Run) -> None:
    rules("apply", files(), "-m", "why")
    rules("apply", files(threshold=9))
    shown = rules("show", "spree").stdout
    assert "version   2, revision 2\n" in shown
    assert "when: payments >= 9" in shown
    old = rules("show", "spree", "--version", 1).stdout
    assert "version   1, revision 1 (not the newest)\n" in old
    assert "by User:anna: applied (why)" in old
    assert [rule.when for rule in parse_rules(rules("show", "spree", "--version", 1, "--yaml").stdout)] == [
        "payments >= 5"
    ]
    assert "spree has no version 3; it has 1, 2" in rules("show", "spree", "--version", 3).stderr
    assert "rule nope never existed" in rules("show", "nope").stderr
    assert "rule nope never existed" in rules("history", "nope").stderr


def test_export(deployment: Any, files: Files, tmp_path: Path, rules: Run) -> None:
    rules("apply", files("r.yaml", "a", "b"))
    rules("pause", "b")
    exported = tmp_path / "out.yaml"
    assert rules("export", exported).stderr == f"{exported}: 2 rules\n"
    assert exported.read_text() == rules("export").stdout
    assert [(rule.rule_id, rule.version, rule.mode) for rule in parse_rules(exported.read_text())] == [
        ("a", 1, "live"),
        ("b", 1, "paused"),
    ]
    assert [row[1] for row in words(rules("apply", exported))] == ["unchanged", "unchanged"]
    assert "cannot be written" in rules("export", tmp_path / "none" / "x.yaml").stderr


def test_history_is_in_the_order_of_revisions_even_if_clocks_disagree(
    deployment: Any, files: Files, rules: Run
) -> None:
    rules("apply", files())
    (first,) = (json.loads(entry.value) for entry in deployment.rules)
    deployment.rules[0] = deployment.rules[0]._replace(
        value=json.dumps({**first, "changed_at": first["changed_at"] + 3_600_000_000}).encode()
    )
    rules("pause", "spree")
    rules("apply", files("other.yaml", "other"))
    assert [(row[3], row[4]) for row in words(rules("history", "spree"))] == [("spree", "1"), ("spree", "2")]
    assert [row[3] for row in words(rules("history"))] == ["other", "spree", "spree"]


def test_no_card_number_enters_a_rule(deployment: Any, files: Files, rules: Run) -> None:
    wrong = files(more="    explanation: see 4111 1111 1111 1111\n")
    for command in ("validate", "apply"):
        result = rules(command, wrong)
        assert "rule spree: contains a card number" in result.stderr
        assert "4111" not in result.output
    assert deployment.rules == []


def test_no_card_number_enters_a_comment(deployment: Any, files: Files, rules: Run) -> None:
    result = rules("apply", files(), "-m", "see 4111 1111 1111 1111")
    assert "comment holds a card number" in result.stderr
    assert deployment.rules == []


def test_text_of_a_change_cannot_steer_the_terminal(deployment: Any, files: Files, rules: Run) -> None:
    hostile = "\x1b[2J\u202eevil\n2026-01-01 00:00:00  anna  spree"
    assert rules("apply", files(), "-m", hostile, "--by", "ben\x9b31m").exit_code == 0
    table = rules("history", "spree").stdout
    shown = rules("show", "spree").stdout
    document = rules("history", "spree", "--json").stdout
    for printed in (table, shown, document):
        assert printed.replace("\n", "").isprintable()
        assert "\\u001b[2J\\u202eevil" in printed
        assert "ben\\u009b31m" in printed
    assert "evil\\u000a2026-01-01" in "".join(table.split("\n"))
    assert json.loads(document)[0]["comment"] == hostile, "JSON keeps its value"
