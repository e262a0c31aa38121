"""The rules and lists that a detector works with at one moment, updated with each change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.model import Rule

from cardwatch_rulebook.approvals import Approval, Approvals, in_force
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.definitions import parse_definition, rule_of
from cardwatch_rulebook.lists import ListBook, ListEntry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rules and lists at one moment; immutable.

    Attributes:
        rules: every rule that can be evaluated, by id, in the mode and version of the rulebook. Includes paused ones,
            not deleted ones.
        broken: rules that cannot be evaluated, id → one sentence. They are in ``revisions`` and not in ``rules``.
        revisions: id → revision, of all that are in ``rules`` or ``broken``.
        versions: id → version, of the same.
        lists: name → its values.
        generation: goes up with every snapshot that differs from the previous one; 0 before anything was read. It
            counts
            within this process only.
    """

    rules: tuple[Rule, ...] = ()
    broken: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    revisions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    versions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    lists: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    generation: int = 0


class SnapshotBuilder:
    """Applies changes and builds snapshots. A definition is parsed once, however often the rule's mode changes."""

    def __init__(
        self,
        horizons_us: Mapping[str, int],
        parse: Callable[..., Rule] = parse_definition,
        *,
        requires_approval: bool = False,
    ) -> None:
        """
        Args:
            horizons_us: how far back each scope's state reaches, microseconds; a rule that needs more is broken.
            requires_approval: whether a change after which a rule is live counts only once it is approved.
        """
        self._horizons_us: Final = dict(horizons_us)
        self._parse_definition: Final = parse
        self._requires_approval: Final = requires_approval
        self._book: Final = Rulebook()
        self._approvals: Final = Approvals()
        self._lists: Final = ListBook()
        self._parsed: Final[dict[str, tuple[str, Rule | str]]] = {}
        self._built = Snapshot()
        self._rules_changed = False
        self._lists_changed: set[str] = set()

    def take_change(self, change: Change) -> None:
        """Apply the next change of a rule."""
        if self._book.accept(change):
            self._rules_changed = True

    def take_approval(self, approval: Approval) -> None:
        """Take the next approval of a change, which may come before its change."""
        self._approvals.accept(approval)
        self._rules_changed = True

    def take_entry(self, entry: ListEntry) -> None:
        """Apply the next entry of a list."""
        if self._lists.accept(entry):
            self._lists_changed.add(entry.list_name)

    def build(self, *, first: bool = False) -> Snapshot:
        """The snapshot as of now: the same object where nothing has changed.

        Args:
            first: whether the topics have just been read completely. This counts as a change even without any rule or
                list.
        """
        if not (self._rules_changed or self._lists_changed or first):
            return self._built
        changed = replace(self._built, generation=self._built.generation + 1)
        if self._rules_changed:
            changed = self._with_rules(changed)
        if self._lists_changed:
            fresh = {name: self._lists.values(name) for name in self._lists_changed}
            changed = replace(changed, lists=MappingProxyType({**changed.lists, **fresh}))
        self._rules_changed = False
        self._lists_changed = set()
        self._built = changed
        return changed

    def _with_rules(self, snapshot: Snapshot) -> Snapshot:
        rules: list[Rule] = []
        broken: dict[str, str] = {}
        current = [change for change in map(self._in_force, self._book.ids()) if change and not change.deletes]
        for change in current:
            parsed = self._parse(change)
            if isinstance(parsed, str):
                broken[change.rule_id] = parsed
            else:
                rules.append(parsed)
        return replace(
            snapshot,
            rules=tuple(rules),
            broken=MappingProxyType(broken),
            revisions=MappingProxyType({change.rule_id: change.revision for change in current}),
            versions=MappingProxyType({change.rule_id: change.version for change in current}),
        )

    def _in_force(self, rule_id: str) -> Change | None:
        if not self._requires_approval:
            return self._book.latest(rule_id)
        return in_force(self._book.history(rule_id), self._approvals.is_approved)

    def _parse(self, change: Change) -> Rule | str:
        """The rule, or a sentence that says why it cannot be evaluated."""
        definition, parsed = self._parsed.get(change.rule_id, ("", ""))
        if definition != change.definition:
            parsed = self._parse_definition_of(change)
        self._parsed[change.rule_id] = (change.definition, parsed)
        try:
            return parsed if isinstance(parsed, str) else rule_of(change, parsed)
        except ConfigurationError as error:
            return str(error)

    def _parse_definition_of(self, change: Change) -> Rule | str:
        try:
            rule = self._parse_definition(change.definition, f"revision {change.revision}", self._horizons_us)
        except ConfigurationError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a rule that breaks the parser must not stop the others
            return f"revision {change.revision} of rule {change.rule_id} breaks the parser: {error!r}"
        if rule.rule_id != change.rule_id:
            return f"revision {change.revision} of rule {change.rule_id} defines another rule, {rule.rule_id}"
        return rule
