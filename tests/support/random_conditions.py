"""Conditions over the whole rule language, and rows to evaluate them on, all from one seeded generator."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from cardwatch_rules.fields import FIELD_KINDS, PROFILE_FIELDS, polars_schema
from cardwatch_rules.type_check import Kind

# The measures that conditions name.
MEASURES: Final[dict[str, Kind]] = {"n": Kind.INTEGER, "ratio": Kind.DOUBLE, "word": Kind.TEXT}
LISTS: Final = {"known": frozenset({"DE", "m1", "ß", "a\nb", ""}), "empty": frozenset[str]()}

_TEXTS: Final = (
    "", "DE", "de", "m1", "pos", "approved", " ", "a b", "A1", "x" * 40, "a%b", "a_b", "a\\b", "a'b", 'a"b', "a.b",
    "<a>", "(a", "[a-z]", "^a$", "a|b", "{2}", "a*", "a+", "#&~-", "a\nb", "a\r\n", "\u2028",
    "é", "e\u0301", "ß", "ẞ", "İ", "ı", "ŉ", "ǆ", "ǅ", "ﬁ", "Σ", "ΑΣ", "ΑΣ.", "Α-ΣΑ", "ΑΣ\u0301", "a.Σ", "\u00adΣ",
    "𝄞", "𝄞x", "x😀y", "👨\u200d👩\u200d👧", "\U00010400", "\U00010d50", "\ua7cb", "\uffee", "\ufffd", "東京",
    "\u202e", "𐀀", "Ǆ",
)  # fmt: skip
_INTEGERS: Final = (
    0, 1, -1, 2, 3, -3, 7, 23, 100, 12_345, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1, 10**18, 2**62,
    2**63 - 1, -(2**63), -(2**63) + 1,
)  # fmt: skip
_DOUBLES: Final = (
    0.0, -0.0, 0.5, -0.5, 1.0, 1.5, -2.5, 0.1, 1 / 3, 90.0, -180.0, 2.0**53, 2.0**63, -(2.0**63), 1e18, 1e308, -1e308,
    5e-324, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
_DOUBLE_LITERALS: Final = (
    "0.0",
    "0.5",
    ".25",
    "1.0",
    "1.5",
    "3.",
    "1e3",
    "2e-3",
    "1e308",
    "1e999",
    "9007199254740993.0",
)
_TAME_TEXTS: Final = (
    "",
    "DE",
    "de",
    "m1",
    "pos",
    "a b",
    "A1",
    "a%b",
    "a_b",
    "a\\b",
    "a'b",
    "(a",
    "a\nb",
    "東京",
    "😀x",
)
_TAME_DOUBLES: Final = (0.0, 0.5, -0.5, 1.0, 1.5, -2.5, 0.1, 90.0)
_TAME_DOUBLE_LITERALS: Final = ("0.0", "0.5", ".25", "1.5", "1e3")
# Rules may have more; but they may have no more than 200 terms either.
_MAX_CHARACTERS: Final = 1_200
_INT32: Final = {name for name, kind in polars_schema().items() if str(kind) == "Int32"}


class ConditionGenerator(random.Random):
    """A seeded generator of conditions and rows.

    Args:
        tame: no overflows, no NaN, nothing of which SQL engines have opinions of their own.
        names: names that conditions may use, with their kinds; by default all fields, MEASURES and profiles.
    """

    def __init__(self, seed: int, *, tame: bool = False, names: Mapping[str, Kind] | None = None) -> None:
        super().__init__(seed)
        profiles = {f"profile.{name}": kind for name, kind in PROFILE_FIELDS.items()}
        self.names: Final = {**FIELD_KINDS, **MEASURES, **profiles} if names is None else dict(names)
        self.tame: Final = tame
        self._integers = range(-20, 21) if tame else _INTEGERS
        self._doubles = _TAME_DOUBLES if tame else _DOUBLES
        self._double_literals = _TAME_DOUBLE_LITERALS if tame else _DOUBLE_LITERALS
        self._texts = _TAME_TEXTS if tame else _TEXTS
        self._lengths = (0, 1, 2, 5) if tame else (0, 1, 2, 5, 2**40)
        self._of_kind: dict[Kind, Callable[[int], str]] = {
            Kind.INTEGER: self.integer,
            Kind.DOUBLE: self.double,
            Kind.TEXT: self.text,
            Kind.BOOLEAN: self.condition,
        }

    def row(self) -> dict[str, Any]:
        """Values of all fields and measures, and of a profile; many are null."""
        return {
            "fields": self.fields(),
            "measures": [self._value(kind) for kind in MEASURES.values()],
            "profile": {} if self._one_in(4) else {
                name: value
                for name, kind in PROFILE_FIELDS.items()
                if (value := self._value(kind)) is not None
            },
        }  # fmt: skip

    def fields(self) -> dict[str, Any]:
        """Values of all fields; many are null."""
        return {**{name: self.field(name) for name in FIELD_KINDS}, "transaction_id": self.choice(self._texts)}

    def rule_condition(self) -> str:
        """A condition, simple or nested, that is not too long for a rule."""
        while len(text := self.condition(self.randrange(1, 5))) > _MAX_CHARACTERS:
            pass
        return text

    def condition(self, depth: int) -> str:
        """A condition of at most some depth."""
        if depth <= 0:
            return self.choice([self._comparison, self._null_test])(0)
        return self.choice(
            [
                self._connective, self._connective, self._not, self._comparison, self._comparison, self._between,
                self._in, self._in_list, self._in_profile, self._like, self._null_test, self._truth_test,
                self._boolean_choice,
            ]
        )(depth - 1)  # fmt: skip

    def integer(self, depth: int) -> str:
        """An expression with integer values."""
        if depth <= 0 or self._one_in(4):
            return self._leaf(Kind.INTEGER, lambda: self._signed(str(abs(self.choice(self._integers)) % 2**63)))
        below = depth - 1
        return self.choice(
            [
                lambda: self._binary(["+", "-", "*", "%"], self.integer, below),
                lambda: f"{self.choice(['-', 'abs', 'ceil', 'floor'])}({self.integer(below)})",
                lambda: f"length({self.text(below)})",
                lambda: self._of_several(self.integer, below),
                lambda: self._case(self.integer, below),
            ]
        )()

    def double(self, depth: int) -> str:
        """An expression with values of doubles; parts may be integers."""
        if depth <= 0 or self._one_in(4):
            return self._leaf(Kind.DOUBLE, lambda: self._signed(self.choice(self._double_literals)))
        below = depth - 1
        number = self.choice([self.double, self.integer])
        return self.choice(
            [
                lambda: f"({self.double(below)} {self.choice('+-*')} {number(below)})",
                lambda: f"({number(below)} {self.choice('+-*')} {self.double(below)})",
                lambda: f"({number(below)} / {self.choice([self.double, self.integer])(below)})",
                lambda: f"{self.choice(['-', 'abs', 'ceil', 'floor'])}({self.double(below)})",
                lambda: self._of_several(lambda at: number(at), below, self.double),
                lambda: self._case(self.double, below),
            ]
        )()

    def text(self, depth: int) -> str:
        """An expression with values of text."""
        if depth <= 0 or self._one_in(4):
            return self._leaf(Kind.TEXT, lambda: _quoted(self.choice(self._texts)))
        below = depth - 1
        return self.choice(
            [
                lambda: f"{self.choice(['lower', 'upper'])}({self.text(below)})",
                lambda: f"{self.choice(['left', 'right'])}({self.text(below)}, {self.choice(self._lengths)})",
                lambda: self._of_several(self.text, below),
                lambda: self._case(self.text, below),
            ]
        )()

    def _leaf(self, kind: Kind, literal: Callable[[], str]) -> str:
        if self._one_in(3):
            return literal()
        if self._one_in(25):
            return "null"
        named = [name for name, of in self.names.items() if of is kind]
        return self.choice(named) if named else literal()

    def _signed(self, number: str) -> str:
        return f"-{number}" if self._one_in(3) else number

    def _binary(self, operators: list[str], part: Callable[[int], str], depth: int) -> str:
        return f"({part(depth)} {self.choice(operators)} {part(depth)})"

    def _of_several(self, part: Callable[[int], str], depth: int, last: Callable[[int], str] | None = None) -> str:
        parts = [part(depth) for _ in range(self.randrange(1, 4))] + [(last or part)(depth)]
        return f"{self.choice(['greatest', 'least', 'coalesce'])}({', '.join(parts)})"

    def _case(self, part: Callable[[int], str], depth: int) -> str:
        branches = [f"when {self.condition(depth)} then {part(depth)}" for _ in range(self.randrange(1, 3))]
        default = f" else {part(depth)}" if self._one_in(2) else ""
        return f"(case {' '.join(branches)}{default} end)"

    def _boolean_choice(self, depth: int) -> str:
        return self._case(self.condition, depth) if self._one_in(2) else self._of_several(self._bracketed, depth)

    def _bracketed(self, depth: int) -> str:
        return f"({self.condition(depth)})"

    def _connective(self, depth: int) -> str:
        parts = [self._bracketed(depth) for _ in range(self.randrange(2, 4))]
        return f" {self.choice(['and', 'or'])} ".join(parts)

    def _not(self, depth: int) -> str:
        return f"not ({self.condition(depth)})"

    def _comparison(self, depth: int) -> str:
        operator = self.choice(["=", "<>", "!=", "<", "<=", ">", ">="])
        left, right = self._pair(depth)
        return f"{left} {operator} {right}"

    def _pair(self, depth: int) -> tuple[str, str]:
        match self.randrange(8):
            case 0 | 1:
                return self.text(depth), self.text(depth)
            case 2:
                return self.integer(depth), self.double(depth)
            case 3 | 4:
                return self.double(depth), self.choice([self.double, self.integer])(depth)
            case 5 if depth > 0:
                return self._bracketed(depth - 1), self._bracketed(depth - 1)
            case _:
                return self.integer(depth), self.integer(depth)

    def _between(self, depth: int) -> str:
        low, high = self._pair(depth) if not self._one_in(3) else (self.text(depth), self.text(depth))
        value = low if self._one_in(4) else self._pair_like(low, high, depth)
        return f"{value} {self.choice(['', 'not '])}between {low} and {high}"

    def _pair_like(self, low: str, high: str, depth: int) -> str:
        """A value of the kind of one of the borders: one of the borders itself, changed."""
        border = self.choice([low, high])
        return f"coalesce({border}, {border})" if depth else border

    def _in(self, depth: int) -> str:
        negation = self.choice(["in", "not in"])
        if self._one_in(2):
            values = ", ".join(_quoted(self.choice(self._texts)) for _ in range(self.randrange(1, 4)))
            return f"{self.text(depth)} {negation} ({values})"
        literals: list[Callable[[], str]] = [
            lambda: self._signed(str(abs(self.choice(self._integers)) % 2**63)),
            lambda: self._signed(self.choice(self._double_literals)),
        ]
        values = ", ".join(self.choice(literals)() for _ in range(self.randrange(1, 4)))
        return f"{self.choice([self.integer, self.double])(depth)} {negation} ({values})"

    def _in_list(self, depth: int) -> str:
        name = self.choice([*LISTS, "unknown"])
        return f"{self.text(depth)} {self.choice(['in', 'not in'])} list('{name}')"

    def _in_profile(self, depth: int) -> str:
        if "profile.countries_90d" not in self.names:
            return self._in_list(depth)
        negation = self.choice(["in", "not in"])
        if self._one_in(2):
            return f"{self.text(depth)} {negation} profile.countries_90d"
        return f"{self.integer(depth)} {negation} profile.hours_90d"

    def _like(self, depth: int) -> str:
        pattern = "".join(self.choice(["%", "_", "%", self.choice(self._texts)]) for _ in range(self.randrange(4)))
        return f"{self.text(depth)} {self.choice(['', 'not '])}like {_quoted(pattern)}"

    def _null_test(self, depth: int) -> str:
        kinds = [Kind.INTEGER, Kind.DOUBLE, Kind.TEXT] + ([Kind.BOOLEAN] if depth > 0 else [])
        part = self._of_kind[self.choice(kinds)](depth - 1)
        lists = [name for name, kind in self.names.items() if kind in {Kind.TEXTS, Kind.INTEGERS}]
        if lists and self._one_in(6):
            part = self.choice(lists)
        return f"({part}) is {self.choice(['', 'not '])}null"

    def _truth_test(self, depth: int) -> str:
        return f"({self.condition(depth)}) is {self.choice(['', 'not '])}{self.choice(['true', 'false'])}"

    def field(self, name: str) -> Any:
        """A value of a field."""
        value = self._value(FIELD_KINDS[name])
        return (value + 2**31) % 2**32 - 2**31 if name in _INT32 and value is not None else value

    def _value(self, kind: Kind) -> Any:
        if self._one_in(5):
            return None
        match kind:
            case Kind.INTEGER:
                return self.choice(self._integers)
            case Kind.DOUBLE:
                return self.choice(self._doubles)
            case Kind.TEXT:
                return self.choice(self._texts)
            case Kind.TEXTS:
                return [self.choice(self._texts) for _ in range(self.randrange(4))]
        return [self.choice(self._integers) for _ in range(self.randrange(4))]

    def _one_in(self, number: int) -> bool:
        return self.randrange(number) == 0


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
