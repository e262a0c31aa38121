"""Lists that analysts keep and rules refer to: entries, checks of their values, and the current content."""

import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.wire import Record
from cardwatch_reference.countries import COUNTRY_CODES
from cardwatch_units.timestamps import require_date

from cardwatch_rulebook.principal import describe_principal

_LIST_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_TOKEN: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BIN: Final = re.compile(r"[0-9]{6,8}", re.ASCII)
_LONGEST_IDENTIFIER: Final = 64
_LONGEST_DEVICE: Final = 256


class Kind(StrEnum):
    """What the values of a list are."""

    CARD = "card"
    MERCHANT = "merchant"
    BIN = "bin"
    DEVICE = "device"
    IP = "ip"
    COUNTRY = "country"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A change of a list: a value is added or removed. A message on ``lists.v1``, never removed.

    Attributes:
        kind: what its values are.
        value: as transactions carry it.
        present: False where it is removed.
        comment: the reason, or empty.
        changed_by: the principal that made the change (``principal``).
        changed_at: microseconds since 1970-01-01 UTC, by the clock of the machine that made the change.
        change_id: random; distinguishes this change from the others of the value.
        authenticated: whether the broker authenticates ``changed_by``.
        stated_name: the name given with ``--by``, or empty; nobody has checked it.
    """

    list_name: str
    kind: Kind
    value: str
    present: bool
    comment: str
    changed_by: str
    changed_at: int
    change_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    authenticated: bool = False
    stated_name: str = ""

    @property
    def who(self) -> str:
        """Who made the change, in words."""
        return describe_principal(self.changed_by, authenticated=self.authenticated, stated_name=self.stated_name)

    @property
    def key(self) -> str:
        """The message's key: of this change only."""
        return f"{self.list_name}|{self.value}|{self.change_id}"

    def record(self) -> Record:
        """As a record of ``list_entry.avsc``."""
        return {
            "list_name": self.list_name,
            "kind": self.kind.value,
            "value": self.value,
            "present": self.present,
            "comment": self.comment,
            "changed_by": self.changed_by,
            "changed_at": self.changed_at,
            "change_id": self.change_id,
            "authenticated": self.authenticated,
            "stated_name": self.stated_name,
        }

    @classmethod
    def from_record(cls, record: Record) -> "ListEntry":
        """From a record of ``list_entry.avsc``.

        Raises:
            ValueError: its kind is unknown, or its time has no date.
        """
        changed_at = require_date(record["changed_at"])
        return cls(**{**record, "kind": Kind(record["kind"]), "changed_at": changed_at})


class ListBook:
    """All lists of a deployment, built from entries in the order of the topic; the last entry of a value counts."""

    def __init__(self) -> None:
        self._lists: Final[dict[str, dict[str, ListEntry]]] = {}
        self._kinds: Final[dict[str, Kind]] = {}

    def accept(self, entry: ListEntry) -> bool:
        """Apply the next entry of the topic; returns whether it changes the values of the list."""
        entries = self._lists.setdefault(entry.list_name, {})
        before = entries.get(entry.value)
        entries[entry.value] = entry
        self._kinds[entry.list_name] = entry.kind
        return entry.present != (before is not None and before.present)

    def names(self) -> list[str]:
        """The names of all lists that have or ever had a value, in order."""
        return sorted(self._lists)

    def kind(self, name: str) -> Kind | None:
        """The kind of a list's last entry; None where it never had one."""
        return self._kinds.get(name)

    def entries(self, name: str) -> Mapping[str, ListEntry]:
        """The entries of the values in a list, ordered by value."""
        return MappingProxyType(
            {value: entry for value, entry in sorted(self._lists.get(name, {}).items()) if entry.present}
        )

    def all_entries(self, name: str) -> tuple[ListEntry, ...]:
        """The last entry of every value that is or ever was in a list."""
        return tuple(self._lists.get(name, {}).values())

    def values(self, name: str) -> frozenset[str]:
        """The values in a list; none for an unknown list."""
        return frozenset(value for value, entry in self._lists.get(name, {}).items() if entry.present)


def checked_name(name: str) -> str:
    """The name unchanged, if it can name a list.

    Raises:
        ConfigurationError: it cannot.
    """
    if not _LIST_NAME.fullmatch(name):
        raise ConfigurationError(
            f"`{name}` cannot name a list: expected at most 63 lower-case letters, digits and hyphens"
        )
    return name


def checked_value(kind: Kind, value: str) -> str:
    """A value as transactions carry it: a country in capitals, a token in lower case, an address in its usual form.

    Raises:
        ConfigurationError: it is not a value of that kind, or it is a card number.
    """
    value = value.strip()
    if holds_card_number(value):
        # The value is not quoted, because error messages end up in logs.
        raise ConfigurationError("a value is a card number, which no list may hold; use its card token")
    normal = _NORMAL_FORMS[kind](value)
    if normal is None:
        raise ConfigurationError(f"`{value}` is not a value of kind {kind}: expected {_EXPECTED[kind]}")
    return normal


def _identifier(longest: int) -> Callable[[str], str | None]:
    return lambda value: value if 0 < len(value) <= longest and value.isprintable() else None


def _address(value: str) -> str | None:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return None


_NORMAL_FORMS: Final[Mapping[Kind, Callable[[str], str | None]]] = {
    Kind.CARD: lambda value: value.lower() if _TOKEN.fullmatch(value.lower()) else None,
    Kind.MERCHANT: _identifier(_LONGEST_IDENTIFIER),
    Kind.BIN: lambda value: value if _BIN.fullmatch(value) else None,
    Kind.DEVICE: _identifier(_LONGEST_DEVICE),
    Kind.IP: _address,
    Kind.COUNTRY: lambda value: value.upper() if value.upper() in COUNTRY_CODES else None,
}
_EXPECTED: Final[Mapping[Kind, str]] = {
    Kind.CARD: "a card token of 32 hexadecimal digits",
    Kind.MERCHANT: f"1 to {_LONGEST_IDENTIFIER} printable characters",
    Kind.BIN: "6 to 8 digits",
    Kind.DEVICE: f"1 to {_LONGEST_DEVICE} printable characters",
    Kind.IP: "an IPv4 or IPv6 address",
    Kind.COUNTRY: "an ISO 3166-1 alpha-2 code",
}
