"""Translates conditions to DuckDB's SQL, for the oracle only; the rule engine compiles its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<list>\blist\s*\(\s*'(?P<name>(?:[^']|'')*)'\s*\))
      | \bprofile\s*\.\s*(?P<profile>[a-z_]\w*)
      | \d+(?:\.\d*)?e[+-]?\d+
      | (?P<fraction>(?:\d+\.\d*|\.\d+)(?![\w.]))
      | (?P<whole>\d+(?![\w.]))
      | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | [\w.]+""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_BIGINT_DIGITS: Final = 18
# `NULL IN ()` would be false, but it is null in the rule language; no field has this value.
_NOBODY: Final = "b1f6a0de-nobody-has-this-value"


def condition_sql(text: str, lists: Mapping[str, Sequence[str]]) -> str:
    """A condition of the rule language as an SQL expression; `lists` maps names to values, an unknown one is empty.

    - `0.25` is a DOUBLE, as every fraction of the language is: DuckDB's own DECIMAL would calculate in tenths.
    - `5` is a BIGINT: DuckDB's INTEGER would overflow at two thousand millions.
    - `list('name')` is its values.
    - `profile.name` is the column that `profile_column` names.

    Nothing within a text literal, a name or a comment is touched.
    """

    def replacement(found: re.Match[str]) -> str:
        if found["fraction"]:
            return f"{found[0]}e0"
        if found["whole"] and len(found[0]) <= _BIGINT_DIGITS:
            return f"{found[0]}::BIGINT"
        if found["list"]:
            values = lists.get(found["name"].replace("''", "'")) or [_NOBODY]
            return f"({', '.join(_literal(value) for value in values)})"
        if found["profile"]:
            return profile_column(found["profile"].lower())
        return found[0]

    return _TOKEN.sub(replacement, text)


def profile_fields(text: str) -> set[str]:
    """The names, in lower case, that follow `profile.` in a condition."""
    return {found["profile"].lower() for found in _TOKEN.finditer(text) if found["profile"]}


def profile_column(name: str) -> str:
    """Column of a profile's field; the space keeps it apart from the transaction's fields and from measures."""
    return f'"profile {name}"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
