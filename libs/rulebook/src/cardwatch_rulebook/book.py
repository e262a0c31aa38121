"""The current rules and their history, from all changes in the order of the topic."""

from collections.abc import Iterator
from typing import Final

from cardwatch_rules.model import Mode

from cardwatch_rulebook.changes import Change

# So many may be missing at once; without a limit one message could use up all numbers that a revision can have.
_MAX_MISSING_REVISIONS: Final = 10_000


class Rulebook:
    """All rules of a deployment and all their changes. Readers of the same topic have the same."""

    def __init__(self) -> None:
        self._changes: Final[dict[str, list[Change]]] = {}

    def accept(self, change: Change) -> bool:
        """Apply the next change of the topic; returns whether it counts.

        It counts only where its revision is higher than the rule's current one. Of two writers that started from the
        same revision the first in the topic therefore wins, and every reader agrees on which that was. A writer never
        skips a revision: where some are missing, their messages were removed from the topic, which must not hide the
        changes after them.
        """
        changes = self._changes.get(change.rule_id)
        current = changes[-1].revision if changes else 0
        if not current < change.revision <= current + 1 + _MAX_MISSING_REVISIONS:
            return False
        if changes is None:
            changes = self._changes[change.rule_id] = []
        changes.append(change)
        return True

    def latest(self, rule_id: str) -> Change | None:
        """The last change of a rule, which may be a deletion; None where the rule never existed."""
        changes = self._changes.get(rule_id)
        return changes[-1] if changes else None

    def history(self, rule_id: str) -> tuple[Change, ...]:
        """All changes of a rule, oldest first: in ascending order of revision, of which some may be missing."""
        return tuple(self._changes.get(rule_id, ()))

    def missing(self, rule_id: str) -> tuple[int, ...]:
        """The revisions of a rule whose messages are missing, in ascending order; none for an unknown rule."""
        found = {change.revision for change in self.history(rule_id)}
        return tuple(revision for revision in range(1, max(found, default=0)) if revision not in found)

    def revision(self, rule_id: str, revision: int) -> Change | None:
        """The change that counts for a revision of a rule; None where there is none."""
        return next((change for change in self.history(rule_id) if change.revision == revision), None)

    def current(self) -> Iterator[Change]:
        """The last change of each existing rule, by id."""
        for rule_id in sorted(self._changes):
            latest = self._changes[rule_id][-1]
            if not latest.deletes:
                yield latest

    def ids(self) -> list[str]:
        """Every id that ever was, those of deleted rules included, in order."""
        return sorted(self._changes)

    def version(self, rule_id: str, version: int) -> Change | None:
        """The last change in which a rule had this version, None where it never had."""
        return next((change for change in reversed(self.history(rule_id)) if change.version == version), None)

    def mode_before_pause(self, rule_id: str) -> Mode:
        """The mode that a rule last had before it was paused; live where it was never in any other mode."""
        modes = (change.mode for change in reversed(self.history(rule_id)))
        return next((mode for mode in modes if mode is not Mode.PAUSED), Mode.LIVE)
