"""One change of a rule: a message on ``rules.v1``, never removed."""

from dataclasses import dataclass
from enum import StrEnum

from cardwatch_contracts.wire import Record
from cardwatch_rules.model import Mode
from cardwatch_units.timestamps import require_date

from cardwatch_rulebook.principal import describe_principal


class Action(StrEnum):
    """What was done to the rule."""

    APPLIED = "applied"
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED = "promoted"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """A change, and the whole rule as it is after it.

    Attributes:
        revision: counts the rule's changes from 1.
        version: counts the rule's definitions; part of an alert's identity.
        scope: whose windows the rule looks at.
        definition: the rule as YAML text, without version and mode (``definitions``).
        comment: the reason, or empty.
        changed_by: the principal that made the change (``principal``).
        changed_at: microseconds since 1970-01-01 UTC, by the clock of the machine that made the change.
        change_id: random; distinguishes this change from another with the same revision.
        authenticated: whether the broker authenticates ``changed_by``.
        stated_name: the name given with ``--by``, or empty; nobody has checked it.
    """

    rule_id: str
    revision: int
    version: int
    action: Action
    scope: str
    mode: Mode
    definition: str
    comment: str
    changed_by: str
    changed_at: int
    change_id: str
    authenticated: bool = False
    stated_name: str = ""

    @property
    def who(self) -> str:
        """Who made the change, in words."""
        return describe_principal(self.changed_by, authenticated=self.authenticated, stated_name=self.stated_name)

    @property
    def key(self) -> str:
        """The message's key: of this change only."""
        return f"{self.rule_id}|{self.revision}|{self.change_id}"

    @property
    def deletes(self) -> bool:
        """Whether the rule is deleted by this change."""
        return self.action is Action.DELETED

    def record(self) -> Record:
        """As a record of ``rule.avsc``."""
        return {
            "rule_id": self.rule_id,
            "rule_version": self.version,
            "scope": self.scope,
            "mode": self.mode.value,
            "definition": self.definition,
            "changed_by": self.changed_by,
            "changed_at": self.changed_at,
            "revision": self.revision,
            "action": self.action.value,
            "comment": self.comment,
            "change_id": self.change_id,
            "authenticated": self.authenticated,
            "stated_name": self.stated_name,
        }

    @classmethod
    def from_record(cls, record: Record) -> "Change":
        """From a record of ``rule.avsc``.

        Raises:
            ValueError: its action or mode is unknown, or its time has no date.
        """
        return cls(
            rule_id=record["rule_id"],
            revision=record["revision"],
            version=record["rule_version"],
            action=Action(record["action"]),
            scope=record["scope"],
            mode=Mode(record["mode"]),
            definition=record["definition"],
            comment=record["comment"],
            changed_by=record["changed_by"],
            changed_at=require_date(record["changed_at"]),
            change_id=record["change_id"],
            authenticated=record["authenticated"],
            stated_name=record["stated_name"],
        )
