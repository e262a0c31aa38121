"""A table of which rows fail names all of these, and no other."""

import pytest

from support.rows import every_row


@pytest.fixture
def limit() -> int:
    return 3


@every_row("number, name", [(1, "one"), (2, "two")], ids=lambda number, name: name)
def test_fixtures_and_rows_arrive(limit: int, number: int, name: str) -> None:
    assert number < limit
    assert len(name) == 3


def test_each_failing_row_is_named() -> None:
    seen: list[int] = []

    @every_row("number", [1, 2, 3, 4], ids=lambda number: f"row {number}")
    def check(number: int) -> None:
        seen.append(number)
        if number % 2 == 0:
            raise ValueError(f"{number} is even")

    with pytest.raises(AssertionError) as raised:
        check()
    assert str(raised.value) == "2 of 4 rows fail:\nrow 2: ValueError: 2 is even\nrow 4: ValueError: 4 is even"
    assert seen == [1, 2, 3, 4]


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="without rows"):
        every_row("number", [])
