"""The lists of analysts: their names and values."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from cardwatch_oracle.errors import OracleError


def read_lists(path: Path) -> dict[str, list[str]]:
    """The lists of a YAML or JSON file that maps each name to its values.

    Raises OracleError if the file cannot be read or contains anything else. A value without quotes is refused, because
    YAML may take it for a number, and drop its leading zeros.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OracleError(f"the lists {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        raise OracleError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict | None):
        raise OracleError(f"{path} must map the names of lists to their values")
    for name, values in (document or {}).items():
        if not isinstance(name, str) or not isinstance(values, list):
            raise OracleError(f"{path} must map the names of lists to their values: {name!r} does not map to a list")
        for value in values:
            if not isinstance(value, str):
                raise OracleError(f"{path}: the values of {name} must be text in quotes, {value!r} is not")
    return dict(document or {})


def distinct(lists: Mapping[str, Iterable[str]] | None) -> dict[str, list[str]]:
    """Each list's values once, in order; iterators among the values are consumed here."""
    return {name: sorted(set(values)) for name, values in (lists or {}).items()}
