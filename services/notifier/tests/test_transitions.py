"""When an alert event is news, and under which id."""

from typing import Any

import pytest
from cardwatch_notifier.transitions import Known, Verdict, decide


def told(kit: Any, events: list[tuple[str, str]]) -> list[str | None]:
    """The message ids of a history of (status, mode), the alert's own id written A."""
    known = Known()
    ids: list[str | None] = []
    for status, mode in events:
        transition = decide(known, kit.alert("a", status, mode))
        known = transition.known
        ids.append(transition.message_id and transition.message_id.replace(kit.alert_id("a"), "A"))
    return ids


@pytest.mark.parametrize(
    ("events", "ids"),
    [
        (["raised"], ["A"]),
        (["raised", "raised"], ["A", None]),
        (["raised", "retracted"], ["A", "A-2"]),
        (["raised", "retracted", "retracted"], ["A", "A-2", None]),
        (["raised", "retracted", "raised", "raised", "retracted"], ["A", "A-2", "A-3", None, "A-4"]),
        (["retracted"], [None]),
        (["suppressed"], [None]),
        (["suppressed", "retracted"], [None, None]),
        (["suppressed", "raised", "suppressed", "suppressed", "raised"], [None, "A", "A-2", None, "A-3"]),
        (["raised", "suppressed", "retracted"], ["A", "A-2", None]),
        (["retracted", "raised"], [None, "A"]),
    ],
)
def test_receivers_hear_of_changes_only(kit: Any, events: list[str], ids: list[str | None]) -> None:
    assert told(kit, [(status, "live") for status in events]) == ids


def test_a_shadow_alert_is_never_told(kit: Any) -> None:
    assert told(kit, [("raised", "shadow"), ("retracted", "shadow")]) == [None, None]


def test_an_alert_that_comes_again_after_its_rule_went_live_is_told_then(kit: Any) -> None:
    assert told(kit, [("raised", "shadow"), ("raised", "live"), ("retracted", "live")]) == [None, "A", "A-2"]


def test_a_shadow_event_does_not_change_what_receivers_know(kit: Any) -> None:
    events = [("raised", "live"), ("retracted", "shadow"), ("raised", "live"), ("retracted", "live")]
    assert told(kit, events) == ["A", None, None, "A-2"]


def test_verdicts_say_what_an_event_amounts_to(kit: Any) -> None:
    first = decide(Known(), kit.alert("a"))
    assert first.verdict is Verdict.RAISED
    assert decide(first.known, kit.alert("a")).verdict is Verdict.REPEATED
    assert decide(first.known, kit.alert("a", "retracted")).verdict is Verdict.RETRACTED
    assert decide(first.known, kit.alert("a", "raised", "shadow")).verdict is Verdict.SHADOW
