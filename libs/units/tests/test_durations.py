import pytest
from cardwatch_units.durations import format_duration, parse_duration


def test_whole_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "10m", "24h", "7d", " 24 h ")] == [
        90_000_000,
        600_000_000,
        86_400_000_000,
        604_800_000_000,
        86_400_000_000,
    ]


@pytest.mark.parametrize("text", ["", "soon", "1 fortnight", "-1h", "1h30m", "90", "1.5h", "500ms"])
def test_other_text_is_no_whole_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 90s, 10m, 24h or 7d, got") as error:
        parse_duration(text)
    assert repr(text) in str(error.value)


def test_zero_is_refused_unless_allowed() -> None:
    with pytest.raises(ValueError, match="expected a duration longer than zero, got '0h'"):
        parse_duration("0h")
    with pytest.raises(ValueError, match="longer than zero"):
        parse_duration("0", fractions=True)
    assert parse_duration("0s", allow_zero=True) == 0
    assert parse_duration("0", fractions=True, allow_zero=True) == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("60", 60), ("5m", 300), ("1.5h", 5400), ("7d", 604_800), ("500ms", 0.5)]
)
def test_fractions(text: str, seconds: float) -> None:
    assert parse_duration(text, fractions=True) == seconds * 1_000_000


@pytest.mark.parametrize("text", ["", "5y", "-1s", "1h30m", "soon"])
def test_other_text_is_no_fractional_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a duration such as 500ms, 60s, 1\.5h or 7d, got"):
        parse_duration(text, fractions=True)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (90_000_000, "90s"),
        (600_000_000, "10m"),
        (5_400_000_000, "90m"),
        (86_400_000_000, "24h"),
        (172_800_000_000, "2d"),
        (1_500_000, "1.5s"),
        (0, "0s"),
    ],
)
def test_durations_are_written_in_the_largest_unit_that_divides_them(microseconds: int, text: str) -> None:
    assert format_duration(microseconds) == text


def test_a_single_day_is_written_as_the_caller_wants() -> None:
    assert [format_duration(days * 86_400_000_000, one_day="1d") for days in (1, 2, 7)] == ["1d", "2d", "7d"]
