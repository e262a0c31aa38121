"""Files with the values of lists: YAML (name → values), or plain text, one value a line."""

from pathlib import Path
from typing import Final

import yaml
from cardwatch_contracts.errors import ConfigurationError

_YAML: Final = frozenset({".yaml", ".yml", ".json"})


def read_list_file(path: Path, name: str | None) -> dict[str, list[str]]:
    """The lists of a file: name → values.

    Args:
        path: YAML or JSON that maps names to values; any other file is plain text, where ``#`` begins a comment.
        name: which list of a YAML file (None: all of them), or whose values the lines of a plain file are.

    Raises:
        ConfigurationError: the file cannot be read or is written otherwise.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8 (byte {error.start})") from error
    if path.suffix in _YAML:
        lists = _from_yaml(text, path)
        if name is None:
            return lists
        if name not in lists:
            raise ConfigurationError(f"{path} has no list {name}; it has {', '.join(lists) or 'none'}")
        return {name: lists[name]}
    if name is None:
        raise ConfigurationError(f"{path} is no YAML: of which list are its values? --list NAME would say")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {name: [line for line in lines if line]}


def list_file_text(lists: dict[str, list[str]]) -> str:
    """Lists as YAML, every value in quotes: a BIN is no number, and NO is a country."""
    blocks = []
    for name, values in lists.items():
        items = "".join(f"  - {_quoted(value)}\n" for value in values)
        blocks.append(f"{name}:\n{items}" if items else f"{name}: []\n")
    return "".join(blocks) or "{}\n"


def _from_yaml(text: str, path: Path) -> dict[str, list[str]]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(values, list) for values in document.values()):
        raise ConfigurationError(f"{path} must map the names of lists to their values")
    for name, values in document.items():
        for value in values:
            if not isinstance(value, str):
                raise ConfigurationError(
                    f"{path}: a value of {name} is {type(value).__name__} for YAML; text in quotes would be right"
                )
    return {str(name): values for name, values in document.items()}


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
