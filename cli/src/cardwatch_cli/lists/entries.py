"""The entry of a value that a command adds to a list or removes from it."""

from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author


def list_entry(name: str, kind: Kind, value: str, who: Author, *, present: bool) -> ListEntry:
    """The message of one change, by the principal of ``who``."""
    return ListEntry(
        name,
        kind,
        value,
        present,
        who.comment,
        who.name,
        who.at,
        authenticated=who.authenticated,
        stated_name=who.stated_name,
    )
