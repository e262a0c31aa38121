"""Which change a request makes, given the current rulebook. Nothing is written here."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cardwatch_contracts.errors import CardwatchError
from cardwatch_rules.model import MAX_RULE_VERSION, Mode
from cardwatch_units.timestamps import now_microseconds

from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rulebook.definitions import Definition, is_same_definition


@dataclass(frozen=True, slots=True)
class Plan:
    """A requested change of one rule.

    Attributes:
        make: computes the change from the current rulebook; None where there is nothing to do. It raises
            CardwatchError where the request cannot be fulfilled.
    """

    rule_id: str
    make: Callable[[Rulebook], Change | None]


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, why and when.

    Attributes:
        name: the principal's (``principal``).
        comment: the reason, or empty.
        at: microseconds since 1970-01-01 UTC.
        authenticated: whether the broker authenticates the principal.
        stated_name: the name given with ``--by``, or empty.
    """

    name: str
    comment: str = ""
    at: int = field(default_factory=now_microseconds)
    authenticated: bool = False
    stated_name: str = ""


def apply(wanted: Definition, author: Author) -> Plan:
    """Define a rule as a file does.

    The version goes up by one where the definition differs from the current one, or where the rule was deleted before;
    a version in the file counts where it is higher. Without a mode in the file, the rule keeps the one that it has; a
    new rule is live.

    The plan raises:
        CardwatchError: the rule has changed, but the version that the file gives is not higher than the current one, or
            there is no higher one.
    """

    def make(book: Rulebook) -> Change | None:
        rule_id = wanted.rule.rule_id
        current = book.latest(rule_id)
        if current is None:
            return _first(wanted, author)
        is_unchanged = is_same_definition(current.definition, wanted.text)
        version = _version(wanted, current, is_unchanged=is_unchanged)
        mode = wanted.mode or (Mode.LIVE if current.deletes else current.mode)
        if version == current.version and mode is current.mode:
            return None
        definition = current.definition if is_unchanged else wanted.text
        changed = _follow(current, Action.APPLIED, author)
        return replace(changed, version=version, mode=mode, scope=wanted.rule.scope, definition=definition)

    return Plan(wanted.rule.rule_id, make)


def _version(wanted: Definition, current: Change, *, is_unchanged: bool) -> int:
    """The version of a rule that is applied where there is one."""
    if wanted.version is not None and wanted.version > current.version:
        return wanted.version
    following = max(current.version, 0) + 1  # a change that another program wrote may have any number
    if is_unchanged and not current.deletes and current.version > 0:
        return current.version
    if wanted.version is not None and not is_unchanged:
        raise CardwatchError(
            f"rule {current.rule_id} has changed, but its version in the file, {wanted.version}, is not higher than "
            f"the current one, {current.version}; leave `version` out, or set it to {following}"
        )
    if following > MAX_RULE_VERSION:
        raise CardwatchError(
            f"rule {current.rule_id} has the highest version that there is, {current.version}; "
            "apply it under another id"
        )
    return following


def pause(rule_id: str, author: Author) -> Plan:
    """Stop evaluating a rule. The plan raises CardwatchError if the rule does not exist."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        return None if current.mode is Mode.PAUSED else _in_mode(current, Action.PAUSED, Mode.PAUSED, author)

    return Plan(rule_id, make)


def resume(rule_id: str, author: Author) -> Plan:
    """Return a paused rule to the mode that it had. The plan raises CardwatchError if the rule does not exist."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        if current.mode is not Mode.PAUSED:
            return None
        return _in_mode(current, Action.RESUMED, book.mode_before_pause(rule_id), author)

    return Plan(rule_id, make)


def promote(rule_id: str, author: Author) -> Plan:
    """Make a shadow rule live. The plan raises CardwatchError where it is paused or does not exist."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        if current.mode is Mode.PAUSED:
            raise CardwatchError(f"rule {rule_id} is paused; resume it before it is promoted")
        return None if current.mode is Mode.LIVE else _in_mode(current, Action.PROMOTED, Mode.LIVE, author)

    return Plan(rule_id, make)


def delete(rule_id: str, author: Author) -> Plan:
    """Delete a rule. The plan raises CardwatchError if the rule does not exist."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        return _in_mode(current, Action.DELETED, current.mode, author)

    return Plan(rule_id, make)


def _existing(book: Rulebook, rule_id: str) -> Change:
    current = book.latest(rule_id)
    if current is None:
        known = ", ".join(change.rule_id for change in book.current()) or "none at all"
        raise CardwatchError(f"there is no rule {rule_id}; there are {known}")
    if current.deletes:
        raise CardwatchError(f"rule {rule_id} was deleted by {current.who}; apply a file that defines it to restore it")
    return current


def _first(wanted: Definition, author: Author) -> Change:
    return Change(
        rule_id=wanted.rule.rule_id,
        revision=1,
        version=wanted.version or 1,
        action=Action.APPLIED,
        scope=wanted.rule.scope,
        mode=wanted.mode or Mode.LIVE,
        definition=wanted.text,
        comment=author.comment,
        changed_by=author.name,
        changed_at=author.at,
        change_id=str(uuid.uuid4()),
        authenticated=author.authenticated,
        stated_name=author.stated_name,
    )


def _in_mode(current: Change, action: Action, mode: Mode, author: Author) -> Change:
    return replace(_follow(current, action, author), mode=mode)


def _follow(current: Change, action: Action, author: Author) -> Change:
    """The next change of a rule, which leaves its definition as it is."""
    return replace(
        current,
        revision=current.revision + 1,
        action=action,
        comment=author.comment,
        changed_by=author.name,
        changed_at=author.at,
        change_id=str(uuid.uuid4()),
        authenticated=author.authenticated,
        stated_name=author.stated_name,
    )
