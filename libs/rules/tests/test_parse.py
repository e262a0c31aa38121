"""A rule file that is wrong gives one sentence: where, which rule, what would be right."""

from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.model import Aggregate, Mode, Severity
from cardwatch_rules.parse import load_rules, parse_duration, parse_rules

GOOD = """
rules:
  - id: hop
    title: Two countries
    scope: card
    measures:
      countries: {window: 1h, is: count(distinct country), where: channel = 'pos'}
      spent: {window: 24h, is: sum(base_amount_minor)}
    when: countries >= 2 and spent > 500
"""


def test_reads_a_rule() -> None:
    (rule,) = parse_rules(GOOD)
    assert (rule.rule_id, rule.version, rule.scope) == ("hop", 1, "card")
    assert (rule.severity, rule.mode) == (Severity.MEDIUM, Mode.LIVE)
    countries, spent = rule.measures
    assert (countries.aggregate, countries.field, countries.where) == (
        Aggregate.COUNT_DISTINCT,
        "country",
        "channel = 'pos'",
    )
    assert countries.expression == "count(distinct country)"
    assert spent.window_us == 86_400_000_000
    assert rule.longest_window_us == 86_400_000_000


def test_the_rules_of_the_repository_are_good() -> None:
    for path in (Path(__file__).parents[3] / "config/rules").glob("*.yaml"):
        assert load_rules(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("scope: card", "scope: planet", "unknown scope `planet`"),
        ("1h,", "1 fortnight,", "`1 fortnight` is no length of time"),
        ("24h,", "0h,", "`0h` is no length of time"),
        ("distinct country", "distinct county", "there is no field `county`"),
        ("sum(base_amount_minor)", "sum(country)", "sum takes one of"),
        ("sum(base_amount_minor)", "sum(latitude)", "sum takes one of"),
        ("sum(base_amount_minor)", "sum(*)", "only count takes `*`"),
        ("sum(base_amount_minor)", "sum(distinct amount_minor)", "only count takes `distinct`"),
        ("sum(base_amount_minor)", "median(amount_minor)", "is no measure"),
        ("channel = 'pos'", "chanel = 'pos'", "names `chanel`"),
        ("channel = 'pos'", "channel", "a condition that is true or false would be right"),
        ("spent > 500", "spnt > 500", "names `spnt`"),
        ("spent > 500", "spent >", "is no SQL expression"),
        ("countries >= 2", "country >= 2", "cannot be computed"),
        ("id: hop", "id: Hop!", "may hold only lower-case letters"),
        ("countries: {", "country: {", "is no transaction field"),
        ("title: Two countries", "titel: Two countries", "titel"),
        ("when: ", "version: 0\n    when: ", "version"),
    ],
)
def test_one_sentence_for_a_mistake(old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(GOOD.replace(old, new), source="my.yaml")
    message = str(caught.value)
    assert sentence in message
    assert message.startswith("my.yaml, line 3, rule ")
    assert "\n" not in message


def test_a_window_longer_than_the_horizon() -> None:
    with pytest.raises(ConfigurationError, match="raise the scope's horizon"):
        parse_rules(GOOD, horizons_us={"card": 3_600_000_000})
    assert parse_rules(GOOD, horizons_us={"card": 86_400_000_000})


def test_two_rules_with_one_id() -> None:
    twice = GOOD + GOOD.split("rules:\n")[1]
    with pytest.raises(ConfigurationError, match="2 rules with the id hop"):
        parse_rules(twice)


@pytest.mark.parametrize("text", ["", "[]", "rules: 5", "rules: [", "a: b"])
def test_no_rule_file(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_rules(text, source="x.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "10m", "24h", "7d")] == [
        90_000_000,
        600_000_000,
        86_400_000_000,
        604_800_000_000,
    ]
