"""Checks the schema that a message was written with, before any library decodes with it. Pure: no I/O.

A registered schema is input from outside: whoever may register one chooses how much work a message of a few bytes is.
With a recursive schema the decoder overflows its stack, which ends the process; an array of items without bytes has as
many as its count says, 2^63 of them. What passes this check can be decoded within a time and a memory proportional to
the message's size:

  text      at most MAX_SCHEMA_CHARACTERS
  types     at most MAX_TYPES, each named type counted wherever it is used, and MAX_DEPTH levels of them
  names     as Avro's specification has them; a type must be defined before it is used, so that none contains itself
  fixed     at most MAX_FIXED_BYTES
  arrays    each item takes a byte or more
  items     of an array or a map hold at most MAX_EMPTY_VALUES values without bytes

Only what describes the bytes is passed on. Documentation, aliases, defaults, logical types and unknown attributes of a
writer's schema are dropped: by Avro's rules of schema resolution those of the reader's schema count. So a decimal with
a scale of a billion is bytes, and no attribute can reach a library's internals.

Source: Avro 1.12 specification, "Schema Declaration", "Names", "Schema Resolution".
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_SCHEMA_CHARACTERS: Final = 100_000
MAX_TYPES: Final = 2_000
MAX_DEPTH: Final = 16
MAX_FIXED_BYTES: Final = 65_536
MAX_EMPTY_VALUES: Final = 16

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})
_SHOWN_CHARACTERS: Final = 60


class UnsafeSchemaError(ValueError):
    """A schema that no message is decoded with. The text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is known of a type.

    Attributes:
        min_bytes: the fewest bytes that a value of it takes.
        types: how many types it consists of.
        height: levels of types from it downwards, itself included.
        empty: the most values without bytes of their own that a value of it can hold, those of arrays and maps in it
            not counted.
    """

    min_bytes: int
    types: int = 1
    height: int = 1
    empty: int = 0


_PRIMITIVES: Final[Mapping[str, _Measured]] = {
    "null": _Measured(0, empty=1),
    "boolean": _Measured(1),
    "int": _Measured(1),
    "long": _Measured(1),
    "float": _Measured(4),
    "double": _Measured(8),
    "bytes": _Measured(1),
    "string": _Measured(1),
}


def check_writer_schema(text: str, expected_name: str) -> str:
    """The schema as JSON text that holds only what describes the bytes.

    Args:
        text: as it is registered.
        expected_name: the record's full name, such as ``io.cardwatch.events.Transaction``.

    Raises:
        UnsafeSchemaError: it is not the schema of such a record, or exceeds a limit of this module.
    """
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise UnsafeSchemaError(f"expected at most {MAX_SCHEMA_CHARACTERS} characters, got {len(text)}")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnsafeSchemaError(f"expected JSON of a schema: {type(error).__name__}") from None
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind != "record":
        raise UnsafeSchemaError(f"expected a record, got {_shown(kind or schema)}")
    check = _Check()
    cleaned, _ = check.named(schema, "record", "", 1)
    name = check.first_name
    if name != expected_name:
        raise UnsafeSchemaError(f"expected a version of {expected_name}, got {_shown(name)}")
    return json.dumps(cleaned, separators=(",", ":"))


class _Check:
    """One pass over a schema: copies what describes the bytes, and measures it."""

    def __init__(self) -> None:
        self._types: dict[str, _Measured] = {}
        self._open: set[str] = set()
        self._seen = 0
        self.first_name = ""

    def type(self, node: Any, namespace: str, depth: int) -> tuple[Any, _Measured]:
        self._seen += 1
        if depth > MAX_DEPTH:
            raise UnsafeSchemaError(f"expected at most {MAX_DEPTH} levels of types, got more")
        if self._seen > MAX_TYPES:
            raise UnsafeSchemaError(f"expected at most {MAX_TYPES} types, got more")
        if isinstance(node, str):
            return node, self._referenced(node, namespace)
        if isinstance(node, list):
            return self._union(node, namespace, depth)
        if not isinstance(node, dict):
            raise UnsafeSchemaError(f"expected a type, got {_shown(node)}")
        kind = node.get("type")
        if not isinstance(kind, str):  # {"type": {"type": …}}, with attributes that say nothing about the bytes
            return self.type(kind, namespace, depth + 1)
        if kind in _NAMED:
            return self.named(node, kind, namespace, depth)
        if kind == "array":
            return self._array(node, namespace, depth)
        if kind == "map":
            values, measured = self.type(node.get("values"), namespace, depth + 1)
            _check_items("a map", measured)
            return {"type": "map", "values": values}, _container(measured)
        return kind, self._referenced(kind, namespace)

    def named(self, node: Mapping[str, Any], kind: str, namespace: str, depth: int) -> tuple[Any, _Measured]:
        name, namespace = _full_name(node, namespace)
        self.first_name = self.first_name or name
        if name in self._types or name in self._open or name in _PRIMITIVES:
            raise UnsafeSchemaError(f"expected one definition of {_shown(name)}, got another one")
        cleaned: dict[str, Any] = {"type": kind, "name": node["name"]}
        if node.get("namespace") is not None:
            cleaned["namespace"] = node["namespace"]
        if kind == "enum":
            cleaned["symbols"] = _unique_names(node.get("symbols"), f"symbols of {_shown(name)}")
            measured = _Measured(1)
        elif kind == "fixed":
            cleaned["size"] = size = _size(node.get("size"), name)
            measured = _Measured(size, empty=0 if size else 1)
        else:
            self._open.add(name)
            cleaned["fields"], measured = self._fields(node.get("fields"), name, namespace, depth)
            self._open.remove(name)
        self._types[name] = measured
        return cleaned, measured

    def _fields(self, fields: Any, record: str, namespace: str, depth: int) -> tuple[list[Any], _Measured]:
        if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
            raise UnsafeSchemaError(f"expected the fields of {_shown(record)}, got {_shown(fields)}")
        names = _unique_names([field.get("name") for field in fields], f"fields of {_shown(record)}", or_none=True)
        types = [self.type(field.get("type"), namespace, depth + 1) for field in fields]
        cleaned = [{"name": name, "type": kind} for name, (kind, _) in zip(names, types, strict=True)]
        parts = [measured for _, measured in types]
        return cleaned, _Measured(
            min_bytes=sum(part.min_bytes for part in parts),
            types=self._total(parts),
            height=_height(parts),
            empty=sum(part.empty for part in parts) if parts else 1,
        )

    def _union(self, branches: list[Any], namespace: str, depth: int) -> tuple[Any, _Measured]:
        if not branches or any(isinstance(branch, list) for branch in branches):
            raise UnsafeSchemaError("expected a union of one or more types that are no unions")
        types = [self.type(branch, namespace, depth + 1) for branch in branches]
        kinds = [_kind_in_union(kind) for kind, _ in types]
        if len(set(kinds)) != len(kinds):
            raise UnsafeSchemaError("expected each type of a union once")
        parts = [measured for _, measured in types]
        return [kind for kind, _ in types], _Measured(
            min_bytes=1 + min(part.min_bytes for part in parts),
            types=self._total(parts),
            height=_height(parts),
            # The branch's number is a byte, so a null is not without bytes here.
            empty=max(0 if kind == "null" else part.empty for kind, part in zip(kinds, parts, strict=True)),
        )

    def _array(self, node: Mapping[str, Any], namespace: str, depth: int) -> tuple[Any, _Measured]:
        items, measured = self.type(node.get("items"), namespace, depth + 1)
        if not measured.min_bytes:
            raise UnsafeSchemaError("expected items of an array that take a byte or more, got items without bytes")
        _check_items("an array", measured)
        return {"type": "array", "items": items}, _container(measured)

    def _referenced(self, name: str, namespace: str) -> _Measured:
        if name in _PRIMITIVES:
            return _PRIMITIVES[name]
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in self._open:
            raise UnsafeSchemaError(f"expected a type that does not contain itself, got {_shown(full)}")
        if full not in self._types:
            raise UnsafeSchemaError(f"expected a type that is defined before it is used, got {_shown(name)}")
        return self._types[full]

    def _total(self, parts: Iterable[_Measured]) -> int:
        total = 1 + sum(part.types for part in parts)
        if total > MAX_TYPES:
            raise UnsafeSchemaError(f"expected at most {MAX_TYPES} types, each counted where it is used, got {total}")
        return total


def _container(items: _Measured) -> _Measured:
    return _Measured(min_bytes=1, types=1 + items.types, height=_height([items]))


def _height(parts: Iterable[_Measured]) -> int:
    height = 1 + max((part.height for part in parts), default=0)
    if height > MAX_DEPTH:
        raise UnsafeSchemaError(f"expected at most {MAX_DEPTH} levels of types, got {height}")
    return height


def _check_items(of: str, items: _Measured) -> None:
    if items.empty > MAX_EMPTY_VALUES:
        raise UnsafeSchemaError(
            f"expected at most {MAX_EMPTY_VALUES} values without bytes in an item of {of}, got {items.empty}"
        )


def _full_name(node: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    """A definition's full name, and the namespace of the names in it."""
    name, own = node.get("name"), node.get("namespace")
    if not isinstance(name, str) or not isinstance(own, str | None):
        raise UnsafeSchemaError(f"expected a name, got {_shown(name if own is None else own)}")
    if "." not in name:
        where = namespace if own is None else own
        name = f"{where}.{name}" if where else name
    if not all(_NAME.fullmatch(part) for part in name.split(".")):
        raise UnsafeSchemaError(f"expected a name of letters, digits and underscores, got {_shown(name)}")
    return name, name.rpartition(".")[0]


def _unique_names(names: Any, what: str, *, or_none: bool = False) -> list[str]:
    if not isinstance(names, list) or not (names or or_none):
        raise UnsafeSchemaError(f"expected {what}, got {_shown(names)}")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UnsafeSchemaError(f"expected {what} of letters, digits and underscores, got {_shown(name)}")
    if len(set(names)) != len(names):
        raise UnsafeSchemaError(f"expected {what} that differ")
    return list(names)


def _size(size: Any, name: str) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_FIXED_BYTES:
        raise UnsafeSchemaError(f"expected a size of {_shown(name)} up to {MAX_FIXED_BYTES} bytes, got {_shown(size)}")
    return size


def _kind_in_union(kind: Any) -> str:
    """What may be in a union only once: a type, but of named types each by its name."""
    if isinstance(kind, str):
        return kind
    return str(kind["name"] if kind["type"] in _NAMED else kind["type"])


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else type(value).__name__
    return repr(text[:_SHOWN_CHARACTERS])
