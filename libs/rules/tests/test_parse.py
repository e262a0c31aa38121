"""An error in a rule file says file, line and rule, what was expected and what was found."""

from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.model import Aggregate, Mode, Severity
from cardwatch_rules.parse import load_rules, parse_rules

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


def test_the_rules_of_the_repository_are_valid() -> None:
    for path in (Path(__file__).parents[3] / "config/rules").glob("*.yaml"):
        assert load_rules(path)


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("scope: card", "scope: planet", 5, "expected one of card, merchant, device, ip, bin, got `planet`"),
        ("1h,", "1 fortnight,", 7, "expected a duration such as 90s, 10m, 24h or 7d, got '1 fortnight'"),
        ("24h,", "0h,", 8, "expected a duration longer than zero, got '0h'"),
        ("distinct country", "distinct county", 7, "there is no field `county`"),
        ("sum(base_amount_minor)", "sum(country)", 8, "sum cannot take `country`; expected one of amount_minor"),
        ("sum(base_amount_minor)", "sum(latitude)", 8, "sum cannot take `latitude`; expected one of amount_minor"),
        ("sum(base_amount_minor)", "sum(*)", 8, "there is no field `*`"),
        ("sum(base_amount_minor)", "sum(distinct amount_minor)", 8, "only count takes `distinct`"),
        ("sum(base_amount_minor)", "median(amount_minor)", 8, "speed_kmh(*), got `median(amount_minor)`"),
        ("sum(base_amount_minor)", "speed_kmh(latitude)", 8, "expected speed_kmh(*), got `speed_kmh(latitude)`"),
        (
            "sum(base_amount_minor)",
            "count(country)",
            8,
            "expected count(*), got `count(country)`; did you mean count(distinct country)?",
        ),
        ("channel = 'pos'", "chanel = 'pos'", 7, "did you mean `channel`?"),
        ("channel = 'pos'", "channel = 'POS'", 7, "`channel` is one of atm, ecom, moto, pos"),
        ("channel = 'pos'", "channel = pos", 7, "no field or measure `pos`"),
        ("channel = 'pos'", "channel", 7, "expected a condition that is true or false, got a text"),
        ("spent > 500", "spnt > 500", 9, "did you mean `spent`?"),
        ("spent > 500", "spent >", 9, "is not an SQL expression"),
        ("spent > 500", "spent > 'much'", 9, "expected both numbers or both texts, got"),
        ("spent > 500", "sleep(5)", 9, "cannot be used in a rule"),
        ("spent > 500", "(select 1) = 1", 9, "cannot be used in a rule"),
        ("spent > 500", "spent > 5; drop table x", 9, "cannot be used in a rule"),
        ("spent > 500", "spent > 500 and spent < 100", 9, "this condition can never be true"),
        ("spent > 500", "countries < 0", 9, "this condition can never be true"),
        ("spent > 500", "(" * 400 + "spent" + ")" * 400 + " > 5", 9, "nested too deeply"),
        ("spent > 500", "spent in (" + ", ".join(["1"] * 300) + ")", 9, "at most 200"),
        ("countries >= 2", "country >= 2", 9, "both numbers or both texts"),
        ("id: hop", "id: Hop!", 3, "expected at most 63 lower-case letters, digits and hyphens, got `Hop!`"),
        ("countries: {", "country: {", 7, "is not the name of a transaction field"),
        ("countries: {", "select: {", 7, "`select` is an SQL keyword, expected another name"),
        ("countries: {", "case: {", 7, "`case` is an SQL keyword, expected another name"),
        ("title: Two countries", "titel: Two countries", 4, "unknown entry; expected one of id"),
        ("title: Two countries", "version: 1", 3, "`title` is missing"),
        ("when: ", "version: 0\n    when: ", 9, "version: Input should be greater than or equal to 1"),
        ("when: ", "version: -1\n    when: ", 9, "version: Input should be greater than or equal to 1"),
        ("when: ", f"version: {2**31}\n    when: ", 9, "version: Input should be less than or equal to 2147483647"),
        ("when: ", f"version: {10**18}\n    when: ", 9, "version: Input should be less than or equal to 2147483647"),
        ("when: ", "suppress: often\n    when: ", 9, "expected a duration such as 90s, 10m, 24h or 7d, got 'often'"),
    ],
)
def test_one_sentence_for_a_mistake(old: str, new: str, line: int, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(GOOD.replace(old, new), source="my.yaml")
    message = str(caught.value)
    assert sentence in message
    assert message.startswith(f"my.yaml, line {line}, rule "), message
    assert "\n" not in message


def test_rules_beyond_the_horizon_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"line 8.*the horizon of the scope card is 1h; shorten the window or raise"
    ):
        parse_rules(GOOD, horizons_us={"card": 3_600_000_000})
    assert parse_rules(GOOD, horizons_us={"card": 86_400_000_000})
    with pytest.raises(
        ConfigurationError, match=r"line 10.*seven times `1h` are 31h, but the horizon of the scope card is 30h"
    ):
        parse_rules(GOOD + "    suppress: 1h\n", horizons_us={"card": 30 * 3_600_000_000})
    assert parse_rules(GOOD + "    suppress: 50m\n", horizons_us={"card": 30 * 3_600_000_000})


def test_a_list_at_the_top_level_and_optional_entries() -> None:
    text = "- {id: denied, title: Denied, scope: ip, when: card_token in list('denied')}"
    (rule,) = parse_rules(text)
    assert (rule.measures, rule.version, rule.suppress_us, rule.longest_window_us) == ((), 1, None, 1)


def test_mistakes_of_several_rules_are_reported_at_once() -> None:
    other = GOOD.split("rules:\n")[1].replace("id: hop", "id: other").replace("scope: card", "scope: planet")
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(GOOD.replace("24h,", "0h,") + other, source="my.yaml")
    first, second = str(caught.value).split("\n")
    assert first.startswith("my.yaml, line 8, rule hop: measures: spent: window: expected a duration longer than zero")
    assert second.startswith("my.yaml, line 12, rule other: scope: expected one of card")


def test_two_rules_with_one_id() -> None:
    twice = GOOD + GOOD.split("rules:\n")[1]
    with pytest.raises(ConfigurationError, match="2 rules with the id hop"):
        parse_rules(twice)


@pytest.mark.parametrize("text", ["", "rules: 5", "rules: [", "a: b"])
def test_no_rule_file(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_rules(text, source="x.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
