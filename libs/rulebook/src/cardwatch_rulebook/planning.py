"""Which change a wish amounts to, given what there is. Nothing is written here."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from cardwatch_contracts.errors import CardwatchError
from cardwatch_rules.model import Mode
from cardwatch_units.timestamps import now_microseconds

from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rulebook.definitions import Definition, says_the_same


@dataclass(frozen=True, slots=True)
class Plan:
    """A wish for one rule.

    Attributes:
        rule_id: which rule.
        make: the change that fulfils the wish, given the rulebook as it is; None where there is nothing to do. It
            raises CardwatchError where the wish cannot be fulfilled.
    """

    rule_id: str
    make: Callable[[Rulebook], Change | None]


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, why and when (microseconds since 1970-01-01 UTC)."""

    name: str
    comment: str = ""
    at: int = field(default_factory=now_microseconds)


def apply(wanted: Definition, author: Author) -> Plan:
    """A rule shall be as a file defines it.

    The version goes up by one where the rule says something else than before, or is applied anew after it was deleted;
    a version in the file counts where it is higher. Without a mode in the file, the rule keeps the one that it has; a
    new rule is live.

    The plan raises:
        CardwatchError: the rule has changed, but the version that the file gives is not higher than the current one.
    """

    def make(book: Rulebook) -> Change | None:
        rule_id = wanted.rule.rule_id
        current = book.latest(rule_id)
        if current is None:
            return _first(wanted, author)
        says_the_same_as_before = says_the_same(current.definition, wanted.text)
        if wanted.version is not None and wanted.version > current.version:
            version = wanted.version
        elif says_the_same_as_before:
            version = current.version + current.deletes
        elif wanted.version is None:
            version = current.version + 1
        else:
            raise CardwatchError(
                f"rule {rule_id} has changed, but its version in the file, {wanted.version}, is not higher than the "
                f"current one, {current.version}; leave `version` out to have it counted, or write "
                f"{current.version + 1}"
            )
        mode = wanted.mode or (Mode.LIVE if current.deletes else current.mode)
        if version == current.version and mode is current.mode:
            return None
        definition = current.definition if says_the_same_as_before else wanted.text
        return _next(current, Action.APPLIED, author, version, mode, wanted.rule.scope, definition)

    return Plan(wanted.rule.rule_id, make)


def pause(rule_id: str, author: Author) -> Plan:
    """A rule shall not be evaluated. The plan raises CardwatchError where there is no such rule."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        return None if current.mode is Mode.PAUSED else _in_mode(current, Action.PAUSED, Mode.PAUSED, author)

    return Plan(rule_id, make)


def resume(rule_id: str, author: Author) -> Plan:
    """A paused rule shall go on in the mode that it had. The plan raises CardwatchError where there is no such rule."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        if current.mode is not Mode.PAUSED:
            return None
        return _in_mode(current, Action.RESUMED, book.mode_before_pause(rule_id), author)

    return Plan(rule_id, make)


def promote(rule_id: str, author: Author) -> Plan:
    """A shadow rule shall be live. The plan raises CardwatchError where it is paused or not there."""

    def make(book: Rulebook) -> Change | None:
        current = _existing(book, rule_id)
        if current.mode is Mode.PAUSED:
            raise CardwatchError(f"rule {rule_id} is paused; resume it before it is promoted")
        return None if current.mode is Mode.LIVE else _in_mode(current, Action.PROMOTED, Mode.LIVE, author)

    return Plan(rule_id, make)


def delete(rule_id: str, author: Author) -> Plan:
    """A rule shall no longer be there. The plan raises CardwatchError where it is not."""

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
        raise CardwatchError(
            f"rule {rule_id} was deleted by {current.changed_by}; apply a file that defines it to have it back"
        )
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
    )


def _in_mode(current: Change, action: Action, mode: Mode, author: Author) -> Change:
    return _next(current, action, author, current.version, mode, current.scope, current.definition)


def _next(
    current: Change, action: Action, author: Author, version: int, mode: Mode, scope: str, definition: str
) -> Change:
    return Change(
        rule_id=current.rule_id,
        revision=current.revision + 1,
        version=version,
        action=action,
        scope=scope,
        mode=mode,
        definition=definition,
        comment=author.comment,
        changed_by=author.name,
        changed_at=author.at,
        change_id=str(uuid.uuid4()),
    )
