"""Programs as JSON, for engines outside Python. docs/rule-program.md defines the format."""

import json
from collections.abc import Iterable
from math import inf
from typing import Any, Final

from cardwatch_rules.model import Rule
from cardwatch_rules.program.compiled_rule import CompiledMeasure, CompiledRule, compile_rule
from cardwatch_rules.program.instructions import Expression, Op, Scalar
from cardwatch_rules.program.polars_conditions import Lists
from cardwatch_rules.type_check import Kind

PROGRAM_VERSION: Final = 1

_TYPES: Final = {
    Kind.INTEGER: "integer",
    Kind.DOUBLE: "double",
    Kind.TEXT: "text",
    Kind.BOOLEAN: "boolean",
    Kind.TEXTS: "texts",
    Kind.INTEGERS: "integers",
}
_WITH_TYPE: Final = {Op.LITERAL, Op.FIELD, Op.MEASURE, Op.PROFILE}
_WITH_OPERAND_TYPE: Final = {
    Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE,
    Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.NEG, Op.ABS, Op.CEIL, Op.FLOOR,
    Op.GREATEST, Op.LEAST, Op.COALESCE, Op.CASE, Op.IN,
}  # fmt: skip
_VALUE_KEYS: Final = {
    Op.LITERAL: "value",
    Op.FIELD: "name",
    Op.MEASURE: "index",
    Op.PROFILE: "name",
    Op.LEFT: "length",
    Op.RIGHT: "length",
    Op.LIKE: "pattern",
    Op.IN: "values",
    Op.IN_LIST: "list",
    Op.IN_PROFILE: "name",
}


def program_json(rules: Iterable[Rule]) -> str:
    """The program of checked rules.

    Raises:
        ConfigurationError: a condition uses something that rules may not use.
    """
    document = {"version": PROGRAM_VERSION, "rules": [rule_document(compile_rule(rule)) for rule in rules]}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def lists_json(lists: Lists) -> str:
    """The lists that travel beside a program: name → values."""
    return json.dumps({name: sorted(values) for name, values in lists.items()}, ensure_ascii=False)


def rule_document(compiled: CompiledRule) -> dict[str, Any]:
    """A rule of a program."""
    rule = compiled.rule
    return {
        "id": rule.rule_id,
        "version": rule.version,
        "title": rule.title,
        "severity": rule.severity.value,
        "mode": rule.mode.value,
        "scope": rule.scope,
        "suppress_us": rule.suppress_us,
        "measures": [_measure(measure) for measure in compiled.measures],
        "when": expression_document(compiled.when),
        "lists": list(compiled.lists),
        "uses_profile": compiled.uses_profile,
    }


def expression_document(expression: Expression) -> dict[str, Any]:
    """An instruction of a program, with all that it is applied to."""
    document: dict[str, Any] = {"op": expression.op.value}
    if expression.op in _WITH_TYPE:
        document["type"] = _TYPES[expression.type]
    if expression.op in _WITH_OPERAND_TYPE:
        document["of"] = _TYPES[expression.operand_type]
    if expression.op in _VALUE_KEYS:
        value = expression.value
        document[_VALUE_KEYS[expression.op]] = (
            [_json(one) for one in value] if isinstance(value, tuple) else _json(value)
        )
    if expression.when:
        document["when"] = [expression_document(part) for part in expression.when]
    if expression.args:
        document["args"] = [expression_document(part) for part in expression.args]
    return document


def _measure(compiled: CompiledMeasure) -> dict[str, Any]:
    measure = compiled.measure
    return {
        "name": measure.name,
        "expression": measure.expression,
        "window_us": measure.window_us,
        "aggregate": compiled.aggregate.value.replace(" ", "_"),
        "field": measure.field,
        "where": None if compiled.where is None else expression_document(compiled.where),
        "type": _TYPES[compiled.type],
    }


def _json(value: Scalar | None) -> Scalar | None:
    """JSON has no infinity: it is written as text."""
    if isinstance(value, float) and value in {inf, -inf}:
        return "Infinity" if value > 0 else "-Infinity"
    return value
