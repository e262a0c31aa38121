"""Approvals of changes after which a rule is live, by another principal than the one that made the change.

They are messages on a topic of their own, ``rules.approvals.v1``. With that the broker decides who may approve: whoever
may write rules, but not to this topic, cannot make a rule live alone, by no message whatsoever (docs/audit.md).
Approvals have no order: an approval counts whether it is read before or after its change.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_contracts.wire import Record
from cardwatch_rules.model import Mode

from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.planning import Author
from cardwatch_rulebook.principal import describe_principal

IsApproved = Callable[[Change], bool]
"""Whether a change may make its rule live."""


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of one change.

    Attributes:
        content_sha256: of the approved change, see ``content_sha256``.
        approved_by, authenticated, stated_name: the principal, as ``changed_by`` and so on in ``Change``.
        approved_at: microseconds since 1970-01-01 UTC, by the clock of the machine that made the approval.
    """

    rule_id: str
    revision: int
    change_id: str
    content_sha256: str
    approved_by: str
    authenticated: bool
    approved_at: int
    comment: str = ""
    stated_name: str = ""
    approval_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def key(self) -> str:
        """The message's key: of this approval only."""
        return f"{self.rule_id}|{self.revision}|{self.approval_id}"

    @property
    def who(self) -> str:
        """Who approves, in words."""
        return describe_principal(self.approved_by, authenticated=self.authenticated, stated_name=self.stated_name)

    def record(self) -> Record:
        """As a record of ``rule_approval.avsc``."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_record(cls, record: Record) -> "Approval":
        """From a record of ``rule_approval.avsc``."""
        return cls(**record)


class Approvals:
    """All approvals of a deployment."""

    def __init__(self) -> None:
        self._by_change: Final[dict[tuple[str, int, str], list[Approval]]] = {}

    def accept(self, approval: Approval) -> None:
        """Add an approval."""
        place = (approval.rule_id, approval.revision, approval.change_id)
        self._by_change.setdefault(place, []).append(approval)

    def of(self, change: Change) -> Approval | None:
        """The first approval that counts for a change; None where there is none.

        It counts where it is for exactly this content, and where the broker authenticates both principals and they
        differ: of a login name nobody knows whose it is.
        """
        found = self._by_change.get((change.rule_id, change.revision, change.change_id), ())
        if not found or not change.authenticated:
            return None
        digest = content_sha256(change)
        return next(
            (
                approval
                for approval in found
                if approval.content_sha256 == digest
                and approval.authenticated
                and approval.approved_by != change.changed_by
            ),
            None,
        )

    def is_approved(self, change: Change) -> bool:
        """Whether a change has an approval that counts."""
        return self.of(change) is not None


def content_sha256(change: Change) -> str:
    """A SHA-256 of a change, 64 hexadecimal digits: of all of its fields, as JSON without spaces, ordered by name."""
    text = json.dumps(change.record(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def needs_approval(change: Change) -> bool:
    """Whether the rule is live after a change: to pause, delete or try a rule in shadow needs nobody else."""
    return change.mode is Mode.LIVE and not change.deletes


def in_force(history: Sequence[Change], is_approved: IsApproved) -> Change | None:
    """The change of a rule that is in force: the newest one that needs no approval or has one.

    Until somebody approves, a rule stays as it was: live with its former definition, in shadow, paused, or absent.

    Args:
        history: the rule's changes, oldest first.
    """
    return next((change for change in reversed(history) if not needs_approval(change) or is_approved(change)), None)


def timeline(history: Sequence[Change], approvals: Approvals | None) -> list[tuple[Change, int]]:
    """The changes of a rule that ever were in force, each with the time from which on: microseconds, UTC.

    Args:
        history: the rule's changes, oldest first.
        approvals: None where none are needed: then each change is in force from when it was made.
    """
    if approvals is None:
        return [(change, change.changed_at) for change in history]
    found: list[tuple[Change, int]] = []
    before: int | None = None
    for change in reversed(history):
        approval = approvals.of(change) if needs_approval(change) else None
        if needs_approval(change) and approval is None:
            continue
        start = change.changed_at if approval is None else max(change.changed_at, approval.approved_at)
        if before is None or start < before:
            found.append((change, start))
            before = start
    return found[::-1]


def approve(change: Change | None, approvals: Approvals, rule_id: str, author: Author) -> Approval | None:
    """The approval of a rule's newest change; None where it has one that counts.

    Raises:
        CardwatchError: there is nothing to approve, or this principal cannot; says why.
    """
    if change is None or change.deletes:
        raise CardwatchError(f"there is no rule {rule_id}, so there is nothing to approve")
    if not needs_approval(change):
        raise CardwatchError(
            f"rule {rule_id} is {change.mode.value} since revision {change.revision}, which needs no approval; "
            "approve it once it has been made live"
        )
    if not author.authenticated:
        raise CardwatchError(
            f"expected a Kafka user of your own to approve rule {rule_id}: this connection has none, and of the login "
            f"name {author.name} nobody knows whose it is"
        )
    if not change.authenticated:
        raise CardwatchError(
            f"revision {change.revision} of rule {rule_id} was made without a Kafka user, by {change.who}, so that "
            "nobody can tell whether that was somebody else; have it made again by a Kafka user"
        )
    if change.changed_by == author.name:
        raise CardwatchError(
            f"revision {change.revision} of rule {rule_id} was made by {change.who}, which is you; expected the "
            "approval of another Kafka user"
        )
    if approvals.is_approved(change):
        return None
    return Approval(
        rule_id=rule_id,
        revision=change.revision,
        change_id=change.change_id,
        content_sha256=content_sha256(change),
        approved_by=author.name,
        authenticated=author.authenticated,
        approved_at=author.at,
        comment=author.comment,
        stated_name=author.stated_name,
    )
