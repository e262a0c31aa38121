"""The state of a rule in a detector: published by the detector, shown beside the rule."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cardwatch_contracts.wire import Record
from cardwatch_rules.model import Mode
from cardwatch_units.timestamps import require_date

from cardwatch_rulebook.snapshot import Snapshot


class State(StrEnum):
    """What the detector does with a rule."""

    ACTIVE = "active"
    PAUSED = "paused"
    SET_ASIDE = "set_aside"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """A detector's state of a rule.

    Attributes:
        rule_id, revision, version: which rule, as the detector has it.
        error: one sentence where the rule is set aside.
        at: since when, microseconds since 1970-01-01 UTC.
    """

    detector: str
    rule_id: str
    revision: int
    version: int
    state: State
    error: str
    at: int

    @property
    def key(self) -> str:
        """The message's key: compaction keeps the last status of a detector and rule."""
        return f"{self.detector}|{self.rule_id}"

    def record(self) -> Record:
        """As a record of ``rule_status.avsc``."""
        return {
            "detector": self.detector,
            "rule_id": self.rule_id,
            "revision": self.revision,
            "rule_version": self.version,
            "state": self.state.value,
            "error": self.error,
            "at": self.at,
        }

    @classmethod
    def from_record(cls, record: Record) -> "RuleStatus":
        """From a record of ``rule_status.avsc``.

        Raises:
            ValueError: its state is unknown, or its time has no date.
        """
        return cls(
            detector=record["detector"],
            rule_id=record["rule_id"],
            revision=record["revision"],
            version=record["rule_version"],
            state=State(record["state"]),
            error=record["error"],
            at=require_date(record["at"]),
        )


class StatusChanges:
    """Compares a detector's states with those last reported, so that each change is reported once."""

    def __init__(self, detector: str) -> None:
        self._detector: Final = detector
        self._reported: dict[str, tuple[int, int, State, str]] = {}
        self._compared: tuple[Snapshot, Mapping[str, str], Collection[str] | None] | None = None

    def since_last(
        self, snapshot: Snapshot, failing: Mapping[str, str], scopes: Collection[str] | None, at: int
    ) -> list[RuleStatus]:
        """The statuses that have changed since the last call.

        Args:
            snapshot: the rules and lists that the detector works with.
            failing: rules of it that fail when they are evaluated, id → one sentence.
            scopes: those that the detector runs; rules of other scopes are not reported. None for all.
            at: now, microseconds since 1970-01-01 UTC.
        """
        compared = self._compared
        # Called for every micro-batch, and mostly nothing has changed.
        if compared is not None and compared[0] is snapshot and compared[1:] == (failing, scopes):
            return []
        self._compared = (snapshot, dict(failing), scopes)
        states = {rule_id: (State.SET_ASIDE, error) for rule_id, error in snapshot.broken.items()}
        for rule in snapshot.rules:
            if scopes is None or rule.scope in scopes:
                states[rule.rule_id] = (State.PAUSED if rule.mode is Mode.PAUSED else State.ACTIVE, "")
        states |= {rule_id: (State.SET_ASIDE, error) for rule_id, error in failing.items() if rule_id in states}
        now = {
            rule_id: (snapshot.revisions[rule_id], snapshot.versions[rule_id], state, error)
            for rule_id, (state, error) in states.items()
        }
        gone = {
            rule_id: (revision, version, State.REMOVED, "")
            for rule_id, (revision, version, state, _) in self._reported.items()
            if rule_id not in now and state is not State.REMOVED
        }
        changed = {rule_id: status for rule_id, status in (now | gone).items() if self._reported.get(rule_id) != status}
        self._reported |= changed
        return [
            RuleStatus(self._detector, rule_id, revision, version, state, error, at)
            for rule_id, (revision, version, state, error) in sorted(changed.items())
        ]
