"""The second approver: a rule goes live only when another principal approves, whatever messages there are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_rulebook import planning
from cardwatch_rulebook.approvals import (
    Approval,
    Approvals,
    approve,
    content_sha256,
    in_force,
    needs_approval,
    timeline,
)
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.planning import Author
from cardwatch_rulebook.snapshot import Snapshot, SnapshotBuilder
from cardwatch_rules.model import Mode
from hypothesis import given
from hypothesis import strategies as st

ANNA = Author("User:anna", authenticated=True)
BEN = Author("User:ben", authenticated=True)
NOBODY = Author("anna")


def history(kit: Any, *steps: str, author: Author = ANNA) -> list[Change]:
    """The changes of one rule by words: live, shadow (with another definition each), pause, resume, promote, delete."""
    book = Rulebook()
    for number, step in enumerate(steps):
        who = replace(author, at=(number + 1) * 100)
        plans: dict[str, Any] = {"pause": planning.pause, "resume": planning.resume, "promote": planning.promote}
        plans["delete"] = planning.delete
        if step in plans:
            plan = plans[step]("spree", who)
        else:
            plan = planning.apply(kit.definition(threshold=number + 2, mode=step), who)
        change = plan.make(book)
        assert change is not None
        assert book.accept(change)
    return list(book.history("spree"))


def approval_of(change: Change, by: Author = BEN, at: int = 0, **more: Any) -> Approval:
    made = Approval(
        change.rule_id, change.revision, change.change_id, content_sha256(change), by.name, by.authenticated, at
    )
    return replace(made, **more)


def snapshot(kit: Any, changes: Sequence[Change], approvals: Sequence[Approval], *, first: bool = False) -> Snapshot:
    builder = SnapshotBuilder({"card": 600_000_000}, requires_approval=True)
    for approval in approvals if first else ():
        builder.take_approval(approval)
    for change in changes:
        builder.take_change(change)
    for approval in () if first else approvals:
        builder.take_approval(approval)
    return builder.build()


@pytest.mark.parametrize(
    ("steps", "approved", "mode", "revision"),
    [
        (["live"], [], None, None),
        (["live"], [1], Mode.LIVE, 1),
        (["shadow"], [], Mode.SHADOW, 1),
        (["shadow", "promote"], [], Mode.SHADOW, 1),
        (["shadow", "promote"], [2], Mode.LIVE, 2),
        (["live", "live"], [1], Mode.LIVE, 1),
        (["live", "live"], [2], Mode.LIVE, 2),
        (["live", "pause"], [1], Mode.PAUSED, 2),
        (["live", "pause", "resume"], [1], Mode.PAUSED, 2),
        (["live", "pause", "resume"], [1, 3], Mode.LIVE, 3),
        (["live", "delete"], [1], None, None),
        (["live", "delete", "live"], [1], None, None),
        (["live", "delete", "live"], [1, 3], Mode.LIVE, 3),
        (["live", "shadow"], [1], Mode.SHADOW, 2),
        (["live", "live", "live"], [1, 3], Mode.LIVE, 3),
    ],
)
@pytest.mark.parametrize("approvals_first", [False, True])
def test_a_rule_stays_as_it_was_until_its_newest_change_is_approved(
    kit: Any, steps: list[str], approved: list[int], mode: Mode | None, revision: int | None, approvals_first: bool
) -> None:
    changes = history(kit, *steps)
    approvals = [approval_of(changes[number - 1]) for number in approved]
    found = snapshot(kit, changes, approvals, first=approvals_first)
    assert [rule.mode for rule in found.rules] == ([] if mode is None else [mode])
    assert found.revisions == ({} if revision is None else {"spree": revision})


def test_without_the_setting_nothing_needs_an_approval(kit: Any) -> None:
    builder = SnapshotBuilder({"card": 600_000_000})
    for change in history(kit, "live", "live"):
        builder.take_change(change)
    assert builder.build().revisions == {"spree": 2}


@pytest.mark.parametrize(
    "forged",
    [
        {"approved_by": "User:anna"},
        {"authenticated": False},
        {"revision": 2},
        {"change_id": "another"},
        {"rule_id": "another"},
        {"content_sha256": "0" * 64},
        {"content_sha256": ""},
    ],
    ids=str,
)
def test_a_hand_made_approval_is_not_obeyed(kit: Any, forged: dict[str, Any]) -> None:
    (change,) = history(kit, "live")
    assert snapshot(kit, [change], [approval_of(change, **forged)]).rules == ()
    assert len(snapshot(kit, [change], [approval_of(change, **forged), approval_of(change)]).rules) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"definition": "id: spree\ntitle: x\nscope: card\nwhen: amount_minor > 0\n"},
        {"version": 7},
        {"changed_by": "User:carol"},
        {"comment": "another"},
        {"authenticated": False},
    ],
    ids=lambda forged: next(iter(forged)),
)
def test_an_approval_holds_for_exactly_the_content_that_was_approved(kit: Any, forged: dict[str, Any]) -> None:
    """Another message with the same key cannot take the place of the approved one."""
    (change,) = history(kit, "live")
    assert snapshot(kit, [replace(change, **forged)], [approval_of(change)]).rules == ()


def test_a_hand_made_change_that_calls_itself_something_else_is_not_live(kit: Any) -> None:
    """What counts is the mode after the change, not what the change calls itself."""
    (change,) = history(kit, "shadow")
    for action in ("paused", "resumed", "promoted", "applied"):
        live = Change.from_record({**change.record(), "revision": 2, "mode": "live", "action": action})
        (rule,) = snapshot(kit, [change, live], []).rules
        assert rule.mode is Mode.SHADOW


class TestApprove:
    def test_by_another_principal_once(self, kit: Any) -> None:
        (change,) = history(kit, "live")
        approvals = Approvals()
        approval = approve(change, approvals, "spree", BEN)
        assert approval is not None
        assert Approval.from_record(approval.record()) == approval
        approvals.accept(approval)
        assert approvals.of(change) == approval
        assert approve(change, approvals, "spree", BEN) is None

    @pytest.mark.parametrize(
        ("steps", "author", "approver", "sentence"),
        [
            (["live"], ANNA, ANNA, "was made by User:anna, which is you; expected the approval of another Kafka user"),
            (["live"], ANNA, replace(ANNA, stated_name="ben"), "which is you"),
            (["live"], ANNA, NOBODY, "expected a Kafka user of your own to approve rule spree"),
            (["live"], NOBODY, BEN, r"made without a Kafka user, by anna \(not authenticated\)"),
            (["shadow"], ANNA, BEN, "is shadow since revision 1, which needs no approval"),
            (["live", "pause"], ANNA, BEN, "is paused since revision 2, which needs no approval"),
            (["live", "delete"], ANNA, BEN, "there is no rule spree"),
            ([], ANNA, BEN, "there is no rule spree"),
        ],
    )
    def test_refusals(self, kit: Any, steps: list[str], author: Author, approver: Author, sentence: str) -> None:
        changes = history(kit, *steps, author=author)
        with pytest.raises(CardwatchError, match=sentence):
            approve(changes[-1] if changes else None, Approvals(), "spree", approver)


step = st.sampled_from(["live", "shadow", "pause"])


@given(st.data(), st.lists(step, min_size=1, max_size=6))
def test_the_timeline_is_what_was_in_force_at_each_time(data: st.DataObject, steps: list[str]) -> None:
    """Compared with asking at each moment, of the changes and approvals that there were, which is in force."""
    modes = {"live": "live", "shadow": "shadow", "pause": "paused"}
    base = {"rule_id": "r", "rule_version": 1, "scope": "card", "definition": "", "comment": "", "action": "applied"}
    who = {"changed_by": "User:anna", "authenticated": True, "stated_name": ""}
    changes = [
        Change.from_record(
            {**base, **who, "revision": n, "mode": modes[one], "changed_at": 10 * n, "change_id": str(n)}
        )
        for n, one in enumerate(steps, start=1)
    ]
    made = [
        approval_of(change, at=change.changed_at + data.draw(st.integers(0, 50)))
        for change in changes
        if needs_approval(change) and data.draw(st.booleans())
    ]
    approvals = Approvals()
    for approval in made:
        approvals.accept(approval)
    found = timeline(changes, approvals)
    for now in range(0, 130):
        known = Approvals()
        for approval in made:
            if approval.approved_at <= now:
                known.accept(approval)
        expected = in_force([change for change in changes if change.changed_at <= now], known.is_approved)
        assert next((change for change, start in reversed(found) if start <= now), None) == expected
    assert timeline(changes, None) == [(change, change.changed_at) for change in changes]
