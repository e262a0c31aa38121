"""The rules that were in force at each time: those of a file always, those of rules.v1 by its history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.approvals import Approvals, timeline
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.connect import open_stores
from cardwatch_rulebook.definitions import parse_definition, rule_of
from cardwatch_rules.backtest.period import OPEN_END, OPEN_START
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.parse import load_rules
from cardwatch_service.settings import ServiceSettings

from cardwatch_cli.lists.files import read_list_file


@dataclass(frozen=True, slots=True)
class Era:
    """A rule, and the arrival times of the transactions that it evaluated.

    Attributes:
        start_us: the first of these, microseconds since 1970-01-01 UTC.
        end_us: the end of these, not included.
    """

    rule: Rule
    start_us: int = OPEN_START
    end_us: int = OPEN_END


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """Rules with their eras, and the values of their lists.

    Attributes:
        notices: changes that could not be taken into account, a sentence each.
    """

    eras: Sequence[Era]
    lists: Mapping[str, frozenset[str]]
    notices: Sequence[str] = ()


def from_file(rules: Path, lists: Path | None) -> RulesInForce:
    """The rules of a file, for all transactions; paused ones are not evaluated.

    Raises:
        ConfigurationError: one of the files is wrong.
    """
    eras = [Era(rule) for rule in load_rules(rules) if rule.mode is not Mode.PAUSED]
    known = {} if lists is None else read_list_file(lists, None)
    return RulesInForce(eras, {name: frozenset(values) for name, values in known.items()})


def from_topics(settings: ServiceSettings) -> RulesInForce:
    """All rules that were ever on rules.v1, each for the time that it was in force; lists as they are now.

    Raises:
        CardwatchError: broker or registry do not answer, or there are no such topics.
    """
    with open_stores(settings) as stores:
        book, lists = stores.rules.read(), stores.lists.read()
        approvals = stores.approvals.read() if settings.rules_require_approval else None
        eras, notices = eras_of(book, approvals)
        return RulesInForce(eras, {name: lists.values(name) for name in lists.names()}, notices)


def eras_of(book: Rulebook, approvals: Approvals | None = None) -> tuple[list[Era], list[str]]:
    """The eras of a rulebook, and one sentence for each change that is no longer valid.

    Args:
        approvals: None where changes need none.
    """
    eras: list[Era] = []
    notices: list[str] = []
    for rule_id in book.ids():
        for change, start_us, end_us in _periods(timeline(book.history(rule_id), approvals)):
            if change.deletes or change.mode is Mode.PAUSED:
                continue
            try:
                source = f"revision {change.revision} of rule {rule_id}"
                rule = rule_of(change, parse_definition(change.definition, source))
            except ConfigurationError as error:
                notices.append(f"{error}; its alerts are not rebuilt")
                continue
            era = Era(rule, start_us, end_us)
            if eras and eras[-1].rule == era.rule and eras[-1].end_us == era.start_us:
                era = Era(era.rule, eras.pop().start_us, era.end_us)
            eras.append(era)
    return eras, notices


def _periods(changes: Sequence[tuple[Change, int]]) -> Iterator[tuple[Change, int, int]]:
    """Each change, with the time from which on it was in force and that of the next one."""
    for number, (change, start_us) in enumerate(changes, start=1):
        yield change, start_us, changes[number][1] if number < len(changes) else OPEN_END
