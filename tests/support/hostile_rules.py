"""Definitions of rules that were written to stop whoever reads them: each is refused with a sentence, quickly."""

from collections.abc import Mapping
from functools import cache
from typing import Final

_RULE: Final = "id: r1\ntitle: t\nscope: card\n"
_VALID: Final = _RULE + "when: amount_minor > 1\n"
_LARGE: Final = 900_000


@cache
def hostile_definitions() -> Mapping[str, str]:
    """By name; YAML as the rulebook keeps it, one rule without version and mode."""
    return {
        **{f"YAML: {name}": text for name, text in _yaml().items()},
        **{f"condition: {name}": _RULE + f'when: "{condition}"\n' for name, condition in _conditions().items()},
        **{f"entry: {name}": text for name, text in _entries().items()},
    }


def _yaml() -> dict[str, str]:
    lists = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lists += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    return {
        "aliases of aliases": _VALID + "\n".join(lists) + "\n",
        "long text by aliases": _VALID + f"x: &x {'y' * 1000}\nz: [" + ",".join(["*x"] * 120_000) + "]\n",
        "contains itself": _VALID + "measures: &m {a: *m}\n",
        "merges itself": "&a\n" + _VALID + "<<: *a\nx: *a\n",
        "33 lists": _VALID + "x: " + "[" * 33 + "]" * 33 + "\n",
        "5,000 lists": _VALID + "x: " + "[" * 5_000 + "]" * 5_000 + "\n",
        "200,000 lists": _VALID + "x: " + "[" * 200_000 + "]" * 200_000 + "\n",
        "900 levels of indentation": _VALID + "".join(" " * level + "a:\n" for level in range(900)),
        "number of 5,000 digits": _VALID + "version: " + "9" * 5_000 + "\n",
        "impossible date": _VALID + "explanation: 2001-99-99\n",
        "binary number without digits": _VALID + "explanation: 0b_\n",
        "text as number": _VALID + "explanation: !!float x\n",
        "text as integer": _VALID + "version: !!int x\n",
        "text as truth": _VALID + "version: !!bool x\n",
        "list as key": _VALID + "? [a]\n: b\n",
        "program": _VALID + "x: !!python/object/apply:os.system [true]\n",
        "unknown version of YAML": "%YAML 9.9\n---\n" + _VALID,
        "two documents": _VALID + "---\n" + _VALID,
        "other ends of lines": "id: r1\r- id: r2\x85- id: r3\u2028- id: r4\n",
        "two rules": _VALID + "\r- " + _VALID.replace("\n", "\r  "),
        "half a character": _VALID + "explanation: \ud800\n",
        "escaped half a character": _VALID + 'explanation: "\\ud800"\n',
        "zero byte": _VALID + "explanation: \x00\n",
        "one megabyte": _VALID + f"explanation: {'x' * 1024 * 1024}\n",
    }


def _conditions() -> dict[str, str]:
    return {
        "parentheses": "(" * 900 + "amount_minor > 1" + ")" * 900,
        "not": "not " * 450 + "amount_minor > 1",
        "signs": "amount_minor > " + "- " * 900 + "1",
        "long": " or ".join(["amount_minor > 1"] * 20_000),
        "cases": "case when " * 180,
        "quotes": "'" * 1_001,
        "name of one megabyte": "a" * _LARGE,
        "number of 1,900 digits": "amount_minor > " + "9" * 1_900 + " and x",
    }


def _entries() -> dict[str, str]:
    measures = ",".join(f"m{number}: {{window: 1h, is: count(*)}}" for number in range(20_000))
    return {
        "long id": _VALID.replace("r1", "a" * _LARGE),
        "window of 5,000 digits": _VALID + f"measures: {{m: {{window: {'9' * 5_000}h, is: count(*)}}}}\n",
        "long measure": _VALID + f'measures: {{m: {{window: 1h, is: "{"(" * 5_000}"}}}}\n',
        "many measures": _VALID + f"measures: {{{measures}}}\n",
        "many unknown entries": _VALID + "".join(f"k{number}: 1\n" for number in range(40_000)),
        "large version": _VALID + "version: -99999999999999999999999999\n",
        "only a text": "x",
        "nothing": "",
        "a list": "- x",
    }
