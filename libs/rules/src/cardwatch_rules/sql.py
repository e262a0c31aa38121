"""SQL conditions as syntax trees: parsed by sqlglot, and the parts of a tree that rules use.

Which parts of SQL a rule may use, and what they mean, is in docs/rules.md.
"""

from functools import lru_cache
from typing import Any, Final

import sqlglot
from cardwatch_contracts.errors import ConfigurationError
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_EXPRESSION_CHARACTERS: Final = 2_000
MAX_EXPRESSION_TERMS: Final = 200
_MAX_TREE_NODES: Final = 2_000


@lru_cache(maxsize=16_384)
def parse_sql(text: str) -> exp.Expression:
    """The tree of an SQL expression.

    Raises:
        ConfigurationError: it is not an SQL expression, or too long.
    """
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise ConfigurationError(
            f"expected an expression of at most {MAX_EXPRESSION_CHARACTERS} characters, got {len(text)}"
        )
    try:
        tree: Any = sqlglot.parse_one(text, dialect="duckdb")
        nodes = sum(1 for _ in tree.walk())
    except SqlglotError as error:
        raise ConfigurationError(f"`{text}` is not an SQL expression: {_syntax_error(error)}") from error
    except RecursionError as error:
        raise ConfigurationError("the expression is nested too deeply; write it with fewer parentheses") from error
    terms = sum(1 for _ in tree.find_all(exp.Column, exp.Literal))
    if terms > MAX_EXPRESSION_TERMS or nodes > _MAX_TREE_NODES:
        raise ConfigurationError(f"expected an expression of at most {MAX_EXPRESSION_TERMS} terms, got {terms}")
    return tree  # type: ignore[no-any-return]


def names_in(text: str) -> frozenset[str]:
    """The fields and measures that an SQL expression names."""
    return frozenset(name_of(column) for column in parse_sql(text).find_all(exp.Column))


def lists_in(text: str) -> frozenset[str]:
    """The lists that an SQL expression looks into: ``in list('name')``."""
    found = (list_of(node) for node in parse_sql(text).find_all(exp.In))
    return frozenset(name for name in found if name is not None)


def is_name(word: str) -> bool:
    """Whether a word can be a name in an expression; SQL's keywords cannot."""
    try:
        tree: Any = sqlglot.parse_one(f"{word} > {word} + 1", dialect="duckdb")
    except SqlglotError:
        return False
    return (
        isinstance(tree, exp.GT) and isinstance(tree.this, exp.Column) and isinstance(tree.expression.this, exp.Column)
    )


def name_of(column: exp.Column) -> str:
    """The name of a field or measure in lower case, as names in SQL have no case."""
    return ".".join(part.name.lower() for part in column.parts)


def list_of(node: exp.In) -> str | None:
    """The list's name in ``x in list('name')``, None for any other ``in``."""
    field = node.args.get("field")
    if isinstance(field, exp.ArrayAgg | exp.List | exp.Anonymous):
        inside = field.this if isinstance(field, exp.ArrayAgg) else (field.expressions or [None])[0]
        if isinstance(inside, exp.Literal) and inside.is_string:
            return str(inside.this)
    return None


def literal(node: exp.Expression) -> int | float | str | bool | None:
    """The value of a literal, with its sign; None for null and for everything else."""
    if isinstance(node, exp.Paren):
        return literal(node.this)
    if isinstance(node, exp.Neg):
        value = literal(node.this)
        return -value if isinstance(value, int | float) else None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        text = str(node.this)
        if node.is_string:
            return text
        return int(text) if text.isdecimal() else float(text)
    return None


def _syntax_error(error: SqlglotError) -> str:
    details = getattr(error, "errors", None)
    if details and details[0].get("highlight"):
        found = details[0]
        return f"syntax error at `{found['highlight']}` (character {found['col']})"
    return str(error).strip().split("\n", 1)[0]
