"""SQL conditions compiled to instructions, written here as short as possible: ``gt:double(to_double(n), 1.5)``."""

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.fields import PROFILE_FIELDS
from cardwatch_rules.program.condition import FIELDS, compile_condition
from cardwatch_rules.program.instructions import Expression, Op
from cardwatch_rules.type_check import Kind

NAMES = {
    **FIELDS,
    "n": Expression(Op.MEASURE, Kind.INTEGER, value=0),
    "ratio": Expression(Op.MEASURE, Kind.DOUBLE, value=1),
    **{f"profile.{name}": Expression(Op.PROFILE, kind, value=name) for name, kind in PROFILE_FIELDS.items()},
}
_NAMED = {Op.FIELD, Op.MEASURE, Op.PROFILE}


def short(node: Expression) -> str:
    if node.op is Op.LITERAL:
        return f"null:{node.type}" if node.value is None else repr(node.value)
    if node.op in _NAMED:
        return next(name for name, expression in NAMES.items() if expression == node)
    extra = "" if node.value is None else f"[{node.value!r}]"
    parts = ", ".join(short(part) for part in (*node.when, *node.args))
    return f"{node.op}{extra}({parts})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n >= 3 and country = 'DE'", "and(ge(n, 3), eq(country, 'DE'))"),
        ("n > 1 and n > 2 and (n > 3 or n > 4)", "and(gt(n, 1), gt(n, 2), or(gt(n, 3), gt(n, 4)))"),
        ("n > 1.5", "gt(to_double(n), 1.5)"),
        ("ratio > 2", "gt(ratio, 2.0)"),
        ("n / 2 > 1", "gt(div(to_double(n), 2.0), 1.0)"),
        ("n % 2 = 1", "eq(mod(n, 2), 1)"),
        ("n + ratio < -5", "lt(add(to_double(n), ratio), -5.0)"),
        ("-n < abs(n)", "lt(neg(n), abs(n))"),
        ("ceil(n) = floor(ratio)", "eq(to_double(n), floor(ratio))"),
        ("n between 1 and 2.5", "and(ge(n, 1), le(to_double(n), 2.5))"),
        ("n not between 1 and 2", "not(and(ge(n, 1), le(n, 2)))"),
        ("n in (1, 2)", "in[(1, 2)](n)"),
        ("n in (1, 2.5)", "in[(1.0, 2.5)](to_double(n))"),
        ("ratio in (-1)", "in[(-1.0,)](ratio)"),
        ("country not in ('DE')", "not(in[('DE',)](country))"),
        ("country in list('known')", "in_list['known'](country)"),
        ("country in profile.countries_90d", "in_profile['countries_90d'](country)"),
        ("hour_of_day not in profile.hours_90d", "not(in_profile['hours_90d'](hour_of_day))"),
        ("profile.countries_90d is null", "is_null(profile.countries_90d)"),
        ("country is not null", "not(is_null(country))"),
        ("(n > 1) is true", "is_true(gt(n, 1))"),
        ("(n > 1) is not false", "not(is_false(gt(n, 1)))"),
        ("country not like 'D%'", "not(like['D%'](country))"),
        ("left(country, 1) = right(country, 2)", "eq(left[1](country), right[2](country))"),
        ("length(lower(country)) = 2", "eq(length(lower(country)), 2)"),
        ("coalesce(n, ratio, 0) > 1", "gt(coalesce(to_double(n), ratio, 0.0), 1.0)"),
        ("greatest(n, 1, 2) = least(n)", "eq(greatest(n, 1, 2), least(n))"),
        ("case when n > 1 then 0.5 else n end > 1", "gt(case(gt(n, 1), 0.5, to_double(n)), 1.0)"),
        ("case when n > 1 then n when true then 2 end > 1", "gt(case(gt(n, 1), True, n, 2, null:integer), 1)"),
        ("case when true then country else 'x' end = 'x'", "eq(case(True, country, 'x'), 'x')"),
        ("n = null", "eq(n, null:integer)"),
        ("country = null", "eq(country, null:text)"),
        ("null = null", "eq(null:condition, null:condition)"),
        ("abs(null) + null is null", "is_null(null:condition)"),
        ("coalesce(null, null) > n", "gt(null:integer, n)"),
        ("1 / null > 0", "gt(div(1.0, null:double), 0.0)"),
        ("lower(null) = country", "eq(lower(null:text), country)"),
        ("null", "null:condition"),
        ("not null or true", "or(not(null:condition), True)"),
        ("ratio < 1e999", "lt(ratio, inf)"),
        ("n = 9007199254740993", "eq(n, 9007199254740993)"),
        ("ratio = 9007199254740993", "eq(ratio, 9007199254740992.0)"),
    ],
)  # fmt: skip
def test_compiled(text: str, expected: str) -> None:
    assert short(compile_condition(text, NAMES)) == expected


@pytest.mark.parametrize(
    "text", ["colour = 'x'", "sqrt(n) > 1", "n > 'x'", "n + country > 1", "n and true", "cast(n as int) = 1"]
)
def test_what_rules_may_not_use_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        compile_condition(text, NAMES)
