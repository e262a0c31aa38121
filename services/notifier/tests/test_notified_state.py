"""Which alert events receivers are notified of, and under which id."""

from typing import Any

import pytest
from cardwatch_notifier.notified_state import Decision, Notified, decide


def message_ids(kit: Any, events: list[tuple[str, str]]) -> list[str | None]:
    """The message ids of a history of (status, mode), the alert's own id written A."""
    notified = Notified()
    ids: list[str | None] = []
    for status, mode in events:
        transition = decide(notified, kit.alert("a", status, mode))
        notified = transition.notified
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
def test_receivers_are_notified_of_changes_only(kit: Any, events: list[str], ids: list[str | None]) -> None:
    assert message_ids(kit, [(status, "live") for status in events]) == ids


def test_nobody_is_notified_of_a_shadow_alert(kit: Any) -> None:
    assert message_ids(kit, [("raised", "shadow"), ("retracted", "shadow")]) == [None, None]


def test_an_alert_repeated_after_its_rule_went_live_is_notified(kit: Any) -> None:
    assert message_ids(kit, [("raised", "shadow"), ("raised", "live"), ("retracted", "live")]) == [None, "A", "A-2"]


def test_a_shadow_event_does_not_change_what_receivers_were_notified_of(kit: Any) -> None:
    events = [("raised", "live"), ("retracted", "shadow"), ("raised", "live"), ("retracted", "live")]
    assert message_ids(kit, events) == ["A", None, None, "A-2"]


def test_decisions_on_events(kit: Any) -> None:
    first = decide(Notified(), kit.alert("a"))
    assert first.decision is Decision.RAISED
    assert decide(first.notified, kit.alert("a")).decision is Decision.REPEATED
    assert decide(first.notified, kit.alert("a", "retracted")).decision is Decision.RETRACTED
    assert decide(first.notified, kit.alert("a", "raised", "shadow")).decision is Decision.SHADOW
