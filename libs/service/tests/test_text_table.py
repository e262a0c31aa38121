"""Tables of plain text that commands print."""

from cardwatch_service.text_table import format_table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("receiver", "pending", ""), ("stdout", "1,200", ""), ("webhook", "7", "disabled: it answered 410 Gone")]
    assert format_table(rows, align_right={1}).splitlines() == [
        "receiver  pending",
        "stdout      1,200",
        "webhook         7  disabled: it answered 410 Gone",
    ]


def test_headings_alone_are_a_line() -> None:
    assert format_table([("table", "version")]) == "table  version"
