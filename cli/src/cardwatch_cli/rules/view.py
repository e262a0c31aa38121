"""Rules and their changes as table rows for people and JSON for programs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.approvals import Approval
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rulebook.definitions import differing_entries, parse_definition
from cardwatch_rulebook.status import RuleStatus, State
from cardwatch_rulebook.stores import Outcome

from cardwatch_cli.output import iso_time, local_time

LIST_COLUMNS = ("id", "version", "revision", "mode", "severity", "scope", "title", "state")
HISTORY_COLUMNS = ("when", "who", "rule", "revision", "version", "what", "comment")
COLUMNS_WITH_LINES = ("state", "title")  # several detectors; the errors of a definition
OUTCOME_COLUMNS = ("rule", "is", "version", "mode", "revision")

NOT_REPORTED = "no detector reports it"


def list_row(change: Change, statuses: Mapping[str, RuleStatus], pending: Collection[str] = ()) -> tuple[object, ...]:
    """A rule as a row of ``LIST_COLUMNS``.

    Args:
        pending: ids of rules that somebody else has to approve before they are live.
    """
    severity, title = severity_and_title(change)
    return (
        change.rule_id,
        change.version,
        change.revision,
        f"{change.mode.value} (not approved)" if change.rule_id in pending else change.mode.value,
        severity,
        change.scope,
        title,
        state_text(change, statuses),
    )


def list_json(change: Change, statuses: Mapping[str, RuleStatus], pending: Collection[str] = ()) -> dict[str, Any]:
    """A rule and the state that each detector reports for it; ``pending`` as for ``list_row``."""
    severity, title = severity_and_title(change)
    return {
        "id": change.rule_id,
        "version": change.version,
        "revision": change.revision,
        "mode": change.mode.value,
        "needs_approval": change.rule_id in pending,
        "severity": severity,
        "scope": change.scope,
        "title": title,
        "changed_by": change.changed_by,
        "authenticated": change.authenticated,
        "stated_name": change.stated_name,
        "changed_at": iso_time(change.changed_at),
        "states": [
            {
                "detector": status.detector,
                "state": status.state.value,
                "revision": status.revision,
                "version": status.version,
                "error": status.error,
                "at": iso_time(status.at),
            }
            for status in _present(statuses)
        ],
    }


def state_text(change: Change, statuses: Mapping[str, RuleStatus]) -> str:
    """The state of a rule, one line per detector."""
    lines = []
    for status in _present(statuses):
        behind = "" if status.revision == change.revision else f" (still at revision {status.revision})"
        error = f": {status.error}" if status.error else ""
        lines.append(f"{status.detector}: {status.state.value.replace('_', ' ')}{behind}{error}")
    return "\n".join(lines) or NOT_REPORTED


def severity_and_title(change: Change) -> tuple[str, str]:
    """Severity and title of the definition; empty and the error's sentence if it is not valid."""
    try:
        rule = parse_definition(change.definition, f"revision {change.revision}")
    except ConfigurationError as error:
        return "", str(error)
    return rule.severity.value, rule.title


def history_row(change: Change, before: Change | None, approval: Approval | None = None) -> tuple[object, ...]:
    """A change as a row of ``HISTORY_COLUMNS``."""
    what = describe_change(change, before)
    return (
        local_time(change.changed_at),
        change.who,
        change.rule_id,
        change.revision,
        change.version,
        f"{what}; approved by {approval.who}" if approval else what,
        change.comment,
    )


def history_json(change: Change, before: Change | None, approval: Approval | None = None) -> dict[str, Any]:
    """A change with all of its fields."""
    return {
        "changed_at": iso_time(change.changed_at),
        "changed_by": change.changed_by,
        "authenticated": change.authenticated,
        "stated_name": change.stated_name,
        "id": change.rule_id,
        "revision": change.revision,
        "version": change.version,
        "action": change.action.value,
        "mode": change.mode.value,
        "what": describe_change(change, before),
        "comment": change.comment,
        "approved_by": approval.approved_by if approval else None,
        "approved_at": iso_time(approval.approved_at) if approval else None,
        "definition": change.definition,
        "change_id": change.change_id,
    }


def changes_of(book: Rulebook, rule_ids: Sequence[str]) -> list[tuple[Change, Change | None]]:
    """The changes of rules by time, each with the change before it.

    The changes of one rule stay in their order, even if the clocks of those who made them disagree.
    """
    found: list[tuple[int, Change, Change | None]] = []
    for rule_id in rule_ids:
        not_before = 0
        history = book.history(rule_id)
        for change, before in zip(history, (None, *history), strict=False):
            not_before = max(not_before, change.changed_at)
            found.append((not_before, change, before))
    found.sort(key=lambda item: item[0])
    return [(change, before) for _, change, before in found]


def describe_change(change: Change, before: Change | None) -> str:
    """A change in a few words: ``paused``, ``changed when, title``, ``shadow → live``."""
    if change.action is not Action.APPLIED:
        return change.action.value
    if before is None:
        return f"new, {change.mode.value}"
    if before.deletes:
        return f"applied again, {change.mode.value}"
    try:
        entries = differing_entries(before.definition, change.definition)
    except ConfigurationError:  # one of them was not written by these commands
        entries = ["everything"]
    parts = [f"changed {', '.join(entries)}"] if entries else []
    if before.mode is not change.mode:
        parts.append(f"{before.mode.value} → {change.mode.value}")
    return "; ".join(parts) or "another version"


def outcome_row(rule_id: str, outcome: Outcome) -> tuple[object, ...]:
    """The result of applying a rule, as a row of ``OUTCOME_COLUMNS``."""
    before, change = outcome.before, outcome.change
    if change is None:
        assert before is not None  # a rule that does not exist yet is always changed
        return rule_id, "unchanged", before.version, before.mode.value, before.revision
    if before is None or before.deletes:
        return rule_id, "new", change.version, change.mode.value, change.revision
    version = f"{before.version} → {change.version}" if before.version != change.version else change.version
    mode = f"{before.mode.value} → {change.mode.value}" if before.mode is not change.mode else change.mode.value
    return rule_id, "changed", version, mode, change.revision


def _present(statuses: Mapping[str, RuleStatus]) -> list[RuleStatus]:
    return [statuses[name] for name in sorted(statuses) if statuses[name].state is not State.REMOVED]
