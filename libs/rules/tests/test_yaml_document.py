"""YAML within limits."""

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.yaml_document import MAX_DEPTH, load_yaml


def test_what_is_within_the_limits_is_loaded() -> None:
    text = "common: &common {a: 1, b: [x, y]}\nrules:\n- {<<: *common, c: *common}\n- *common\n"
    common = {"a": 1, "b": ["x", "y"]}
    assert load_yaml(text, "rules.yaml").value == {"common": common, "rules": [{**common, "c": common}, common]}
    nested = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert load_yaml(nested, "rules.yaml").node is not None
    assert load_yaml("", "rules.yaml") == (None, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 2, 3]", "rules.yaml is too large: expected at most 3 values, an alias (`*name`) counted as all that it"),
        ("a: &a [1]\nb: *a", "rules.yaml is too large: expected at most 3 values"),
        ("x" * 101, "rules.yaml is too long: expected at most 100 characters, got 101"),
        ("[" * 33 + "]" * 33, "rules.yaml is nested too deeply: expected at most 32 levels, got 33"),
        ("&a [*a]", "rules.yaml is not valid YAML: the value in line 1 contains itself"),
        (
            "2001-99-99",
            "rules.yaml is not valid YAML: a value in it is not what it looks like (month must be in 1..12)",
        ),
        (
            "!!float x",
            "rules.yaml is not valid YAML: a value in it is not what it looks like (could not convert string",
        ),
        ("a: b: c", "rules.yaml is not valid YAML: mapping values are not allowed"),
        ("\ud800", "rules.yaml is not valid YAML: a value in it is not what it looks like ('utf-8' codec can't encode"),
    ],
)
def test_a_mistake_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_yaml(text, "rules.yaml", max_characters=100, max_values=100 if "[" * 33 in text else 3)
    assert str(refused.value).startswith(sentence)
