"""Tables that commands print."""

import pytest
from cardwatch_service.tables import print_table


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("stdout", "1,200", None), ("webhook", "7", "disabled: it answered 410 Gone")]
    print_table(("receiver", "pending", ""), rows, align_right=("pending",))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    heading, rule, *lines = [line for line in lines if line]
    assert heading == "receiver   pending"
    assert set(rule) == {"─"}
    assert lines == [
        "stdout       1,200",
        "webhook          7   disabled: it answered 410 Gone",
    ]


def test_without_rows_the_names_of_the_columns_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("table", "version"), [])
    assert capsys.readouterr().out.split()[:2] == ["table", "version"]
