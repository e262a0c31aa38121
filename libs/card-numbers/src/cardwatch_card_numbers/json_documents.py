"""Parsing JSON that anybody may have written: in bounded time, memory and depth, before anything recurses.

``json.loads`` and everything that walks its result recurse once per level, so that 600 brackets may end a process. The
limits are checked on the text, by one scan without recursion that ends at the first violation.
"""

import json
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32
"""Objects and lists inside each other. A transaction is one object; Python's own limit is about 1000 calls."""

MAX_COMMAS: Final = 1000
"""Members of all objects and lists together, less one for each. A transaction has 18 members."""

MAX_CHARACTERS: Final = 1024 * 1024
"""The largest message that Kafka's brokers accept by default, 1 MiB. A transaction has some 500 bytes."""

# A string that does not end extends to the end of the text, so that each character is looked at once.
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],]', re.DOTALL)


class MalformedJsonError(ValueError):
    """The text is not one JSON value within the limits; the message says why and quotes nothing of it."""


def parse_json(text: str, *, strict: bool = True) -> Any:
    """Parse one JSON value (RFC 8259, no NaN) in whose objects no name occurs twice.

    Args:
        strict: whether control characters in strings are refused.

    Raises:
        MalformedJsonError: the text is not such a value, or exceeds a limit of this module.
    """
    _check_limits(text)
    try:
        return json.loads(text, strict=strict, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except MalformedJsonError:
        raise
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"{error.msg} at character {error.pos}") from None
    except ValueError:  # Python converts no more than 4300 digits: the time grows with the square of their number
        raise MalformedJsonError("it holds a number that is too long") from None


def _check_limits(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise MalformedJsonError(f"it has {len(text)} characters, expected at most {MAX_CHARACTERS}")
    # Nearly always the counts alone, which are fast, show that no limit is exceeded.
    openings, commas = text.count("{") + text.count("["), text.count(",")
    if openings <= MAX_DEPTH and commas <= MAX_COMMAS:
        return
    depth = commas = 0
    for token in _TOKEN.finditer(text):
        match token.group():
            case "{" | "[":
                depth += 1
                if depth > MAX_DEPTH:
                    raise MalformedJsonError(f"it is nested too deeply, expected at most {MAX_DEPTH} levels")
            case "}" | "]":
                depth -= 1
            case ",":
                commas += 1
                if commas > MAX_COMMAS:
                    raise MalformedJsonError(f"it has more than {MAX_COMMAS} members")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedJsonError("a name occurs twice in an object")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJsonError(f"{name} is not a JSON number")
