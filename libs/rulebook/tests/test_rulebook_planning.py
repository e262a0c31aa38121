"""Planning a requested change: versions, revisions and modes."""

from dataclasses import replace
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_rulebook import planning
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rulebook.planning import Author, Plan
from cardwatch_rules.model import Mode

ANNA = Author("anna", "why not", at=1_000_000)


@pytest.fixture
def book() -> Rulebook:
    return Rulebook()


def do(book: Rulebook, plan: Plan) -> Change | None:
    change = plan.make(book)
    assert change is None or book.accept(change)
    return change


def state(change: Change | None) -> tuple[int, int, Mode, Action]:
    assert change is not None
    return change.revision, change.version, change.mode, change.action


def test_a_changed_definition_gets_the_next_version(kit: Any, book: Rulebook) -> None:
    first = do(book, planning.apply(kit.definition(), ANNA))
    assert state(first) == (1, 1, Mode.LIVE, Action.APPLIED)
    assert first is not None
    assert (first.changed_by, first.comment, first.changed_at, first.scope) == ("anna", "why not", 1_000_000, "card")
    assert do(book, planning.apply(kit.definition(), ANNA)) is None
    assert state(do(book, planning.apply(kit.definition(threshold=6), ANNA)))[:2] == (2, 2)
    assert state(do(book, planning.apply(kit.definition(threshold=5), ANNA)))[:2] == (3, 3)


def test_an_equivalent_definition_changes_nothing(kit: Any, book: Rulebook) -> None:
    do(book, planning.apply(kit.definition(), ANNA))
    assert do(book, planning.apply(kit.definition(severity="medium"), ANNA)) is None
    assert state(do(book, planning.apply(kit.definition(severity="high"), ANNA)))[:2] == (2, 2)


def test_a_version_in_the_file_counts_where_it_is_higher(kit: Any, book: Rulebook) -> None:
    assert state(do(book, planning.apply(kit.definition(version=3), ANNA)))[:2] == (1, 3)
    assert do(book, planning.apply(kit.definition(version=1), ANNA)) is None
    assert state(do(book, planning.apply(kit.definition(version=7, threshold=6), ANNA)))[:2] == (2, 7)
    assert state(do(book, planning.apply(kit.definition(version=8, threshold=6), ANNA)))[:2] == (3, 8)
    with pytest.raises(CardwatchError, match="version in the file, 8, is not higher than the current one, 8; leave"):
        do(book, planning.apply(kit.definition(version=8, threshold=9), ANNA))


def test_a_version_is_a_positive_number_that_alerts_can_have(kit: Any, book: Rulebook) -> None:
    first = do(book, planning.apply(kit.definition(), ANNA))
    assert first is not None
    assert book.accept(replace(first, revision=2, version=-5, change_id="by another program"))
    assert state(do(book, planning.apply(kit.definition(), ANNA)))[:2] == (3, 1)
    highest = 2**31 - 1
    assert state(do(book, planning.apply(kit.definition(version=highest), ANNA)))[:2] == (4, highest)
    with pytest.raises(
        CardwatchError, match="has the highest version that there is, 2147483647; apply it under another"
    ):
        do(book, planning.apply(kit.definition(threshold=9), ANNA))


def test_a_version_is_read_as_the_number_that_it_is(kit: Any, book: Rulebook) -> None:
    do(book, planning.apply(kit.definition(), ANNA))
    assert state(do(book, planning.apply(kit.definition(version="'3'"), ANNA)))[:2] == (2, 3)


def test_a_change_of_mode_keeps_the_version(kit: Any, book: Rulebook) -> None:
    do(book, planning.apply(kit.definition(mode="shadow"), ANNA))
    assert do(book, planning.apply(kit.definition(), ANNA)) is None, "without a mode it keeps the one it has"
    assert state(do(book, planning.apply(kit.definition(mode="live"), ANNA))) == (2, 1, Mode.LIVE, Action.APPLIED)
    assert state(do(book, planning.pause("spree", ANNA))) == (3, 1, Mode.PAUSED, Action.PAUSED)
    assert state(do(book, planning.apply(kit.definition(threshold=9), ANNA)))[:3] == (4, 2, Mode.PAUSED)


def test_resume_goes_back_to_the_mode_before_the_pause(kit: Any, book: Rulebook) -> None:
    do(book, planning.apply(kit.definition(mode="shadow"), ANNA))
    do(book, planning.pause("spree", ANNA))
    assert do(book, planning.pause("spree", ANNA)) is None
    with pytest.raises(CardwatchError, match="spree is paused; resume it before"):
        do(book, planning.promote("spree", ANNA))
    assert state(do(book, planning.resume("spree", ANNA))) == (3, 1, Mode.SHADOW, Action.RESUMED)
    assert do(book, planning.resume("spree", ANNA)) is None
    assert state(do(book, planning.promote("spree", ANNA))) == (4, 1, Mode.LIVE, Action.PROMOTED)
    assert do(book, planning.promote("spree", ANNA)) is None


def test_a_restored_rule_continues_its_version_numbers(kit: Any, book: Rulebook) -> None:
    do(book, planning.apply(kit.definition(version=1), ANNA))
    do(book, planning.pause("spree", ANNA))
    assert state(do(book, planning.delete("spree", ANNA))) == (3, 1, Mode.PAUSED, Action.DELETED)
    assert list(book.current()) == []
    assert len(book.history("spree")) == 3
    for plan in (planning.pause, planning.resume, planning.promote, planning.delete):
        with pytest.raises(CardwatchError, match="spree was deleted by anna"):
            do(book, plan("spree", ANNA))
    assert state(do(book, planning.apply(kit.definition(version=1), ANNA))) == (4, 2, Mode.LIVE, Action.APPLIED)


def test_an_unknown_rule_is_a_sentence(kit: Any, book: Rulebook) -> None:
    with pytest.raises(CardwatchError, match="there is no rule spree; there are none at all"):
        do(book, planning.pause("spree", ANNA))
    do(book, planning.apply(kit.definition("other"), ANNA))
    with pytest.raises(CardwatchError, match="there is no rule spree; there are other"):
        do(book, planning.delete("spree", ANNA))


def test_the_first_of_two_with_the_same_revision_counts(kit: Any, book: Rulebook) -> None:
    mine = planning.apply(kit.definition(), ANNA).make(book)
    theirs = planning.apply(kit.definition(threshold=9), Author("ben")).make(book)
    assert mine is not None
    assert theirs is not None
    assert book.accept(theirs)
    assert not book.accept(mine)
    assert not book.accept(theirs), "the same change again"
    assert not book.accept(replace(mine, revision=1)), "an older revision"
    assert book.latest("spree") == theirs
    assert book.version("spree", 1) == theirs
    assert book.version("spree", 2) is None


def test_a_change_survives_a_round_trip(kit: Any, book: Rulebook) -> None:
    change = planning.apply(kit.definition(), ANNA).make(book)
    assert change is not None
    assert Change.from_record(change.record()) == change
    assert change.key == f"spree|1|{change.change_id}"
    with pytest.raises(ValueError, match="sleeping"):
        Change.from_record({**change.record(), "mode": "sleeping"})
