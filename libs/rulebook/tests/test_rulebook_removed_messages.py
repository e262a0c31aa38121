"""Messages that were removed from the topics of rules and lists hide nothing else."""

from itertools import combinations
from typing import Any

import pytest
from cardwatch_contracts.topics import LISTS, RULES, Topic
from cardwatch_rulebook import planning
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author
from cardwatch_rules.model import Mode

ANNA = Author("User:anna", authenticated=True)


def changes_of(kit: Any) -> list[Change]:
    """Five changes of a rule: two definitions, a pause, and two more definitions."""
    plans = [planning.apply(kit.definition(threshold=number), ANNA) for number in (5, 6, 7, 8)]
    plans.insert(2, planning.pause("spree", ANNA))
    store = kit.rule_store()
    for plan in plans:
        store.carry_out([plan])
    return list(store.read().history("spree"))


@pytest.mark.parametrize("removed", [rows for n in (1, 2, 3) for rows in combinations(range(1, 5), n)], ids=str)
def test_removed_revisions_do_not_hide_the_later_ones(kit: Any, removed: tuple[int, ...]) -> None:
    changes = changes_of(kit)
    book = Rulebook()
    for change in changes:
        if change.revision not in removed:
            assert book.accept(change)
    assert book.latest("spree") == changes[-1]
    assert book.missing("spree") == removed
    assert book.revision("spree", 5) == changes[-1]
    assert all(book.revision("spree", revision) is None for revision in removed)


def test_changes_after_removed_revisions_are_written_and_count(kit: Any) -> None:
    changes_of(kit)
    del kit.rules.entries[1:3]
    store, ben = kit.rule_store(), kit.rule_store()
    kit.rules.before_append = lambda: ben.carry_out([planning.resume("spree", Author("ben"))])
    (outcome,) = store.carry_out([planning.apply(kit.definition(threshold=9), ANNA)])
    assert outcome.change.revision == 7
    assert [other.changed_by for other in outcome.overtaken_by] == ["ben"]
    assert kit.rule_store().read().latest("spree") == outcome.change
    assert kit.rule_store().read().missing("spree") == (2, 3)


def test_one_message_does_not_use_up_the_revisions(kit: Any) -> None:
    (first, *_) = changes_of(kit)
    record = {**first.record(), "revision": 2**31 - 1, "mode": "paused"}
    kit.rules.put("x", kit.writer("rule")(Change.from_record(record))[1])
    (outcome,) = kit.rule_store().carry_out([planning.resume("spree", ANNA)])
    assert (outcome.change.revision, outcome.change.mode) == (6, Mode.LIVE)


def test_a_value_that_is_added_and_removed_leaves_two_messages_with_keys_of_their_own(kit: Any) -> None:
    def entry(*, present: bool) -> ListEntry:
        return ListEntry("trusted", Kind.MERCHANT, "m1", present, "", "anna", 1)

    kit.list_store().append([entry(present=True), entry(present=False), entry(present=True), entry(present=False)])
    assert len({message.key for message in kit.lists.entries}) == 4


@pytest.mark.parametrize("topic", [RULES, LISTS], ids=lambda topic: topic.base_name)
def test_the_topics_remove_nothing_and_take_their_time_from_the_broker(topic: Topic) -> None:
    config = topic.config
    assert (config["cleanup.policy"], config["retention.ms"], config["retention.bytes"]) == ("delete", "-1", "-1")
    assert config["message.timestamp.type"] == "LogAppendTime"
