"""The JSON of programs, which docs/rule-program.md defines."""

import json
import re
from pathlib import Path

from cardwatch_rules.parse import parse_rules
from cardwatch_rules.program.document import lists_json, program_json
from cardwatch_rules.program.instructions import Op

PAGE = (Path(__file__).parents[4] / "docs/rule-program.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_example_of_the_page() -> None:
    (rules,) = blocks("yaml")
    program, lists = blocks("json")
    assert json.loads(program_json(parse_rules(rules))) == json.loads(program)
    assert json.loads(lists_json({"trusted-merchants": frozenset({"m2", "m1"})})) == json.loads(lists)


def test_page_defines_every_instruction() -> None:
    table = PAGE.partition("## Instructions")[2].partition("##")[0]
    cells = re.findall(r"^\| ((?:`\w+` ?)+)", table, re.MULTILINE)
    assert [word for cell in cells for word in re.findall(r"\w+", cell)] == [op.value for op in Op]


def test_infinity_and_texts_of_every_kind_are_json() -> None:
    (rule,) = parse_rules(
        """
        - {id: r, title: "\\U0001D11E \\"", scope: card, when: "latitude in (1e999, -1e999) or country like '\\n\\\\%'"}
        """
    )
    document = json.loads(program_json([rule]), parse_constant=lambda name: f"not JSON: {name}")
    either, other = document["rules"][0]["when"]["args"]
    assert either["values"] == ["Infinity", "-Infinity"]
    assert other["pattern"] == "\n\\%"
    assert document["rules"][0]["title"] == '𝄞 "'


def test_declines_are_counted_transactions() -> None:
    (rule,) = parse_rules("""
    - {id: r, title: t, scope: card, when: a > b, measures: {
        a: {window: 10s, is: declines(*)},
        b: {window: 10s, is: declines(*), where: amount_minor > 1}}}
    """)
    plain, conditional = json.loads(program_json([rule]))["rules"][0]["measures"]
    declined = {
        "op": "eq",
        "of": "text",
        "args": [
            {"op": "field", "type": "text", "name": "status"},
            {"op": "literal", "type": "text", "value": "declined"},
        ],
    }
    assert (plain["aggregate"], plain["expression"], plain["where"]) == ("count", "declines(*)", declined)
    assert conditional["where"]["args"][1] == declined
