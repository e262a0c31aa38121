"""``cardwatch rules approve`` and the setting that requires it, with topics in memory."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cardwatch_rulebook.principal import Principal
from cardwatch_rulebook.status import RuleStatus, State
from typer.testing import Result

RULE = """
- id: {rule_id}
  title: Many payments
  scope: card
  measures: {{payments: {{window: 2m, is: count(*)}}}}
  when: payments >= {threshold}
  mode: {mode}
"""


@pytest.fixture(autouse=True)
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_RULES_REQUIRE_APPROVAL", "true")


class People:
    """Runs ``cardwatch rules`` as one of several principals."""

    def __init__(self, deployment: Any, directory: Path) -> None:
        self.deployment = deployment
        self.file = directory / "rules.yaml"
        self.anna = partial(self.run, Principal("User:anna", authenticated=True))
        self.ben = partial(self.run, Principal("User:ben", authenticated=True))
        self.somebody = partial(self.run, Principal("root"))

    def run(self, principal: Principal, *arguments: object) -> Result:
        self.deployment.principal = principal
        return self.deployment.run("rules", *arguments)  # type: ignore[no-any-return]

    def rules(self, *ids: str, threshold: int = 5, mode: str = "live") -> Path:
        texts = [RULE.format(rule_id=rule_id, threshold=threshold, mode=mode) for rule_id in ids or ("spree",)]
        self.file.write_text("".join(texts), encoding="utf-8")
        return self.file


@pytest.fixture
def people(deployment: Any, tmp_path: Path) -> People:
    return People(deployment, tmp_path)


def test_a_live_rule_waits_for_another_user(people: People, deployment: Any) -> None:
    applied = people.anna("apply", people.rules())
    assert applied.exit_code == 0
    assert "note: spree stays as it was until another Kafka user approves: `cardwatch rules approve spree" in (
        applied.stderr
    )
    assert "live (not approved)" in people.ben("list").stdout
    own = people.anna("approve", "spree", "--by", "ben")
    assert (own.exit_code, deployment.approvals) == (1, [])
    assert "expected the approval of another Kafka user" in own.stderr

    assert people.ben("approve", "spree", "-m", "read it").stdout == "spree approved (revision 1)\n"
    assert people.ben("approve", "spree").stdout == "spree is approved already\n"
    assert "not approved" not in people.ben("list").stdout
    (listed,) = json.loads(people.ben("list", "--json").stdout)
    assert listed["needs_approval"] is False
    assert "new, live; approved by User:ben" in people.ben("history").stdout
    (change,) = json.loads(people.ben("history", "--json").stdout)
    assert (change["changed_by"], change["approved_by"]) == ("User:anna", "User:ben")


@pytest.mark.parametrize("command", ["apply", "promote", "resume"])
def test_nobody_without_a_kafka_user_makes_a_rule_live(people: People, deployment: Any, command: str) -> None:
    people.anna("apply", people.rules())
    if command == "resume":
        people.anna("pause", "spree")
    if command == "promote":
        people.anna("apply", people.rules(mode="shadow"))
    before = list(deployment.rules)
    arguments = [people.rules(threshold=9)] if command == "apply" else ["spree"]
    refused = people.somebody(command, *arguments)
    assert (refused.exit_code, deployment.rules) == (1, before)
    assert "error: rule spree would be live, which another Kafka user has to approve" in refused.stderr
    assert people.somebody("delete", "spree", "--yes").exit_code == 0, "to stop a rule needs nobody else"


def test_pause_and_shadow_need_no_approval(people: People) -> None:
    people.anna("apply", people.rules(mode="shadow"))
    people.somebody("pause", "spree")
    (listed,) = json.loads(people.anna("list", "--json").stdout)
    assert (listed["mode"], listed["needs_approval"]) == ("paused", False)
    assert "which needs no approval" in people.ben("approve", "spree").stderr


def test_only_the_revision_that_was_read_is_approved(people: People, deployment: Any) -> None:
    people.anna("apply", people.rules())
    people.anna("apply", people.rules(threshold=6))
    late = people.ben("approve", "spree", "--revision", 1)
    assert "rule spree is at revision 2 by now (applied by User:anna); nothing was approved" in late.stderr
    assert (late.exit_code, deployment.approvals) == (1, [])
    assert people.ben("approve", "spree", "--revision", 2).exit_code == 0


def test_all_rules_are_approved_or_none(people: People, deployment: Any) -> None:
    people.anna("apply", people.rules("a", "b"))
    people.ben("apply", people.rules("c"))
    refused = people.ben("approve", "a", "b", "c")
    assert (refused.exit_code, deployment.approvals) == (1, [])
    assert people.ben("approve", "a", "b").stdout == "a approved (revision 1)\nb approved (revision 1)\n"
    assert "expected one id" in people.ben("approve", "a", "b", "--revision", 1).stderr
    assert "there is no rule nope" in people.ben("approve", "nope").stderr


def test_without_the_setting_nothing_waits(people: People, monkeypatch: pytest.MonkeyPatch, deployment: Any) -> None:
    monkeypatch.setenv("CARDWATCH_RULES_REQUIRE_APPROVAL", "false")
    applied = people.somebody("apply", people.rules())
    assert (applied.exit_code, applied.stderr) == (0, "")
    deployment.report_status(RuleStatus("velocity", "spree", 1, 1, State.ACTIVE, "", 1))
    assert "not approved" not in people.anna("list").stdout
