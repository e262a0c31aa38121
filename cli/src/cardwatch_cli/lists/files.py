"""Files with the values of lists: YAML (name → values), or plain text with one value per line."""

from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.yaml_document import load_yaml

from cardwatch_cli.text_files import read_text_file

_YAML: Final = frozenset({".yaml", ".yml", ".json"})
# A list may have a million values.
_MAX_FILE_CHARACTERS: Final = 256 * 1024 * 1024
_MAX_FILE_VALUES: Final = 5_000_000


def read_list_file(path: Path, name: str | None) -> dict[str, list[str]]:
    """The lists of a file: name → values.

    Args:
        path: YAML or JSON that maps names to values; any other file is plain text, where ``#`` begins a comment.
        name: the list to take from a YAML file (None: all of them), or the list that the values of a plain file are of.

    Raises:
        ConfigurationError: the file cannot be read or has another format.
    """
    text = read_text_file(path)
    if path.suffix in _YAML:
        lists = _from_yaml(text, path)
        if name is None:
            return lists
        if name not in lists:
            raise ConfigurationError(f"{path} has no list {name}; its lists are {', '.join(lists) or '(none)'}")
        return {name: lists[name]}
    if name is None:
        raise ConfigurationError(f"{path} is not a YAML file, expected the list that its values are of: --list NAME")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {name: [line for line in lines if line]}


def list_file_text(lists: dict[str, list[str]]) -> str:
    """Lists as YAML, every value in quotes: YAML would take a BIN for a number, and NO for a boolean."""
    blocks = []
    for name, values in lists.items():
        items = "".join(f"  - {_quoted(value)}\n" for value in values)
        blocks.append(f"{name}:\n{items}" if items else f"{name}: []\n")
    return "".join(blocks) or "{}\n"


def _from_yaml(text: str, path: Path) -> dict[str, list[str]]:
    document = load_yaml(text, str(path), max_characters=_MAX_FILE_CHARACTERS, max_values=_MAX_FILE_VALUES).value
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(values, list) for values in document.values()):
        raise ConfigurationError(f"{path}: expected a mapping of list names to lists of values")
    for name, values in document.items():
        for value in values:
            if not isinstance(value, str):
                raise ConfigurationError(
                    f"{path}, list {name}: expected text in quotes, got a value of YAML type {type(value).__name__}"
                )
    return {str(name): values for name, values in document.items()}


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
