"""The values that a list may contain."""

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.lists import Kind, ListEntry, checked_name, checked_value

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (Kind.CARD, TOKEN.upper(), TOKEN),
        (Kind.CARD, "1" * 32, "1" * 32),
        (Kind.MERCHANT, " M00016731 ", "M00016731"),
        (Kind.BIN, "411111", "411111"),
        (Kind.BIN, "41111122", "41111122"),
        (Kind.DEVICE, "pos-1", "pos-1"),
        (Kind.IP, "192.0.2.1", "192.0.2.1"),
        (Kind.IP, "2001:DB8::0:1", "2001:db8::1"),
        (Kind.COUNTRY, "de", "DE"),
    ],
)
def test_values_are_kept_as_transactions_carry_them(kind: Kind, value: str, kept: str) -> None:
    assert checked_value(kind, value) == kept


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.CARD, "1234"),
        (Kind.MERCHANT, ""),
        (Kind.MERCHANT, "m" * 65),
        (Kind.MERCHANT, "a\tb"),
        (Kind.BIN, "4111"),
        (Kind.BIN, "٤١١١١١"),
        (Kind.IP, "192.0.2.256"),
        (Kind.COUNTRY, "UK"),
        (Kind.COUNTRY, "DEU"),
    ],
)
def test_other_values_are_refused(kind: Kind, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"is not a value of kind {kind}: expected "):
        checked_value(kind, value)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("number", ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005", "x 4222222222222"])
def test_a_card_number_is_refused_in_every_kind_of_list(kind: Kind, number: str) -> None:
    with pytest.raises(ConfigurationError, match="is a card number") as caught:
        checked_value(kind, number)
    assert number not in str(caught.value)


def test_names() -> None:
    assert checked_name("trusted-merchants") == "trusted-merchants"
    for name in ("", "Trusted", "a|b", "-a", "a" * 64):
        with pytest.raises(ConfigurationError, match="cannot name a list"):
            checked_name(name)


def test_an_entry_survives_a_round_trip() -> None:
    entry = ListEntry(
        "trusted", Kind.MERCHANT, "m1", True, "why", "User:desk", 5, "c1", authenticated=True, stated_name="anna"
    )
    assert ListEntry.from_record(entry.record()) == entry
    assert entry.key == "trusted|m1|c1"
    assert entry.who == "User:desk (by: anna)"
    with pytest.raises(ValueError, match="shop"):
        ListEntry.from_record({**entry.record(), "kind": "shop"})
