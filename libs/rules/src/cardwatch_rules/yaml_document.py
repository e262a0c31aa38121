"""Loads YAML that anybody may have written: within limits, and every mistake in it is one kind of error.

A few lines of YAML can stand for billions of values (an alias of aliases), for a value that contains itself, or for
nested lists that exhaust the stack; and its scalars (``2001-99-99``, a number of 5,000 digits) raise errors of Python.
"""

from typing import Any, Final, NamedTuple

import yaml
from cardwatch_contracts.errors import ConfigurationError

MAX_CHARACTERS: Final = 1024 * 1024
MAX_VALUES: Final = 100_000
MAX_DEPTH: Final = 32

# The loader in C, where PyYAML was built with it, is ten times as fast.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MISTAKES: Final = (yaml.YAMLError, RecursionError, ValueError, LookupError, ArithmeticError, TypeError)


class YamlDocument(NamedTuple):
    """A document.

    Attributes:
        value: of mappings, lists and scalars; None if it is empty.
        node: the same with lines and columns.
    """

    value: Any
    node: yaml.Node | None


def load_yaml(
    text: str, source: str, *, max_characters: int = MAX_CHARACTERS, max_values: int = MAX_VALUES
) -> YamlDocument:
    """The only document of a text.

    Args:
        source: stands for the text in errors.
        max_characters: how long the text may be.
        max_values: how many values it may have, where an alias counts as all values that it stands for.

    Raises:
        ConfigurationError: it is not YAML, or exceeds a limit.
    """
    if len(text) > max_characters:
        raise ConfigurationError(f"{source} is too long: expected at most {max_characters} characters, got {len(text)}")
    try:
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return YamlDocument(None, None)
            _check_size(node, source, max_values)
            return YamlDocument(loader.construct_document(node), node)
        finally:
            loader.dispose()
    except _MISTAKES as error:
        hint = "; within {…} a text that contains a comma needs quotes" if "expected ',' or '}'" in str(error) else ""
        raise ConfigurationError(f"{source} is not valid YAML: {_sentence(error)}{hint}") from error


def _check_size(node: yaml.Node, source: str, max_values: int) -> None:
    values, depth = _Measure().of(node)
    if values > max_values:
        raise ConfigurationError(
            f"{source} is too large: expected at most {max_values} values, an alias (`*name`) counted as all that it "
            "stands for"
        )
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{source} is nested too deeply: expected at most {MAX_DEPTH} levels, got {depth}")


class _Measure:
    """Number of values and levels of nodes, each of which is counted once however often an alias repeats it."""

    def __init__(self) -> None:
        self._known: Final[dict[int, tuple[int, int]]] = {}
        self._open: Final[set[int]] = set()

    def of(self, node: yaml.Node) -> tuple[int, int]:
        """The values and levels below a node, itself included.

        Raises:
            yaml.YAMLError: the node contains itself.
        """
        if isinstance(node, yaml.ScalarNode):
            return 1, 0
        known = self._known.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            raise yaml.YAMLError(f"the value in line {node.start_mark.line + 1} contains itself")
        self._open.add(id(node))
        inside = [self.of(child) for child in _children(node)]
        self._open.remove(id(node))
        measured = 1 + sum(values for values, _ in inside), 1 + max((depth for _, depth in inside), default=0)
        self._known[id(node)] = measured
        return measured


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value)


def _sentence(error: BaseException) -> str:
    if isinstance(error, yaml.YAMLError):
        return " ".join(str(error).split())
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return f"a value in it is not what it looks like ({' '.join(str(error).split())})"
