"""Masks Avro binary by its writer's schema, in place: all fields of the writer, those that no reader knows included.

Lengths do not change: digits of texts become ``*``, and a number that holds a card number becomes 0, in as many bytes.
Source of the encoding: Apache Avro 1.11 specification, "Binary encoding".
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from cardwatch_card_numbers.exemptions import NO_FIELDS, is_exempt
from cardwatch_card_numbers.masking import mask_bytes, mask_characters, mask_text_in_place
from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_card_numbers.sensitive_names import is_card_number_name, is_sensitive_name

_MAX_DEPTH: Final = 64
_MAX_VARINT_BYTES: Final = 10
# Values without any bytes, such as null, could be as many as a count says.
_FREE_VALUES: Final = 1000
_DOUBLE: Final = struct.Struct("<d")
_FLOAT: Final = struct.Struct("<f")
_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class NotThisSchemaError(ValueError):
    """The bytes are not one record of the schema."""


class AvroMasker:
    """Masks records of one schema."""

    def __init__(self, schema: Any, exempt_fields: frozenset[str] = NO_FIELDS) -> None:
        """
        Args:
            schema: as parsed from JSON, with references by full or short name.
            exempt_fields: as for ``is_exempt``.
        """
        self._schema: Final = schema
        self._exempt_fields: Final = exempt_fields
        self._named: Final[dict[str, Any]] = {}
        self._collect_names(schema)

    def __call__(self, value: bytes, start: int = 0) -> bytes:
        """The bytes with card numbers masked; the same bytes where there is none.

        Args:
            start: where the record begins.

        Raises:
            NotThisSchemaError: from there on the bytes are not one record of the schema.
        """
        masked = _Record(value, start, self._named, self._exempt_fields)
        self._walk(masked)
        return bytes(masked.bytes)

    def mask_any(self, value: bytes, start: int = 0) -> bytes:
        """The same for any bytes: as far as they are a record they are masked as that, and then all of them as text."""
        masked = _Record(value, start, self._named, self._exempt_fields)
        try:
            self._walk(masked)
        except NotThisSchemaError:
            return mask_bytes(bytes(masked.bytes))
        return bytes(masked.bytes)

    def _walk(self, record: "_Record") -> None:
        try:
            record.walk(self._schema, "", 0)
        except (IndexError, UnicodeDecodeError, struct.error, KeyError, TypeError) as error:
            raise NotThisSchemaError(f"not a record of the schema: {type(error).__name__}") from None
        if record.position != len(record.bytes):
            raise NotThisSchemaError(f"{len(record.bytes) - record.position} bytes are left")

    def _collect_names(self, schema: Any) -> None:
        if isinstance(schema, list):
            for branch in schema:
                self._collect_names(branch)
        elif isinstance(schema, Mapping):
            if schema.get("name") and schema["type"] in ("record", "error", "enum", "fixed"):
                self._named[schema["name"]] = schema
                self._named[str(schema["name"]).rpartition(".")[2]] = schema
            for inner in (
                *(field["type"] for field in schema.get("fields", ())),
                schema.get("items"),
                schema.get("values"),
            ):
                self._collect_names(inner)


class _Record:
    """One record that is walked through once."""

    def __init__(self, value: bytes, start: int, named: Mapping[str, Any], exempt_fields: frozenset[str]) -> None:
        self.bytes: Final = bytearray(value)
        self.position = start
        self._named: Final = named
        self._exempt_fields: Final = exempt_fields
        self._free_values = _FREE_VALUES
        self._walkers: Final[dict[str, Callable[[Any, str, int], None]]] = {
            "record": self._record, "error": self._record, "array": self._array, "map": self._map,
            "string": self._text, "bytes": self._text, "fixed": self._fixed, "long": self._number, "int": self._number,
            "double": self._double, "float": self._float, "enum": self._skip_number,
        }  # fmt: skip

    def walk(self, schema: Any, name: str, depth: int) -> None:
        """Mask one value, of a field of this name, and move behind it."""
        if depth > _MAX_DEPTH:
            raise NotThisSchemaError(f"it is nested too deeply, expected at most {_MAX_DEPTH} levels")
        if isinstance(schema, list):
            schema = schema[self._varint()]
        kind = schema["type"] if isinstance(schema, Mapping) else schema
        if isinstance(kind, Mapping | list):
            self.walk(kind, name, depth + 1)
        elif kind == "boolean":
            self._take(1)
        elif kind in self._walkers:
            self._walkers[kind](schema, name, depth)
        elif kind != "null":
            self.walk(self._named[kind], name, depth + 1)

    def _record(self, schema: Any, name: str, depth: int) -> None:
        for field in schema["fields"]:
            # In a field that is dropped, everything is.
            self.walk(field["type"], name if is_sensitive_name(name) else field["name"], depth + 1)

    def _array(self, schema: Any, name: str, depth: int) -> None:
        self._blocks(lambda: self.walk(schema["items"], name, depth + 1))

    def _map(self, schema: Any, name: str, depth: int) -> None:
        def entry() -> None:
            start, end = self._take(self._varint())
            key = self.bytes[start:end].decode()
            self.bytes[start:end] = mask_text_in_place(key).encode()
            self.walk(schema["values"], name if is_sensitive_name(name) else key, depth + 1)

        self._blocks(entry)

    def _blocks(self, walk_one: Callable[[], None]) -> None:
        while (count := self._varint()) != 0:
            size = self._varint() if count < 0 else None
            start = self.position
            for _ in range(abs(count)):
                before = self.position
                walk_one()
                self._free_values -= self.position == before
                if self._free_values < 0:
                    raise NotThisSchemaError("too many values without any bytes")
            if size is not None and self.position - start != size:  # who skips the block reads other bytes than we
                raise NotThisSchemaError("a block has another size than it says")

    def _text(self, schema: Any, name: str, depth: int) -> None:
        self._mask(*self._take(self._varint()), name, is_text=schema == "string" or "string" in str(schema))

    def _fixed(self, schema: Any, name: str, depth: int) -> None:
        self._mask(*self._take(schema["size"]), name, is_text=False)

    def _mask(self, start: int, end: int, name: str, *, is_text: bool) -> None:
        text = self.bytes[start:end].decode("utf-8", "strict" if is_text else "surrogateescape")
        if is_sensitive_name(name):
            masked = mask_characters(text)
        elif is_card_number_name(name):
            masked = mask_characters(text, digits_only=True)
        else:
            masked = text if is_exempt(name, text, self._exempt_fields) else mask_text_in_place(text)
        if masked != text:
            self.bytes[start:end] = masked.encode("utf-8", "surrogateescape")

    def _number(self, schema: Any, name: str, depth: int) -> None:
        start = self.position
        written = str(self._varint())
        is_time = isinstance(schema, Mapping) and str(schema.get("logicalType", "")).endswith(("millis", "micros"))
        is_time = is_time or is_exempt(name, written, self._exempt_fields)
        if self._is_hidden(name, written) or (not is_time and holds_card_number(written)):
            size = self.position - start
            self.bytes[start : self.position] = b"\x80" * (size - 1) + b"\x00"

    def _double(self, schema: Any, name: str, depth: int) -> None:
        self._floating(_DOUBLE, name)

    def _float(self, schema: Any, name: str, depth: int) -> None:
        self._floating(_FLOAT, name)

    def _floating(self, layout: struct.Struct, name: str) -> None:
        start, end = self._take(layout.size)
        written = repr(layout.unpack(self.bytes[start:end])[0])
        if is_exempt(name, written, self._exempt_fields):
            return
        if self._is_hidden(name, written) or holds_card_number(written):
            self.bytes[start:end] = bytes(layout.size)

    @staticmethod
    def _is_hidden(name: str, written: str) -> bool:
        return written not in ("0", "0.0") and (is_sensitive_name(name) or is_card_number_name(name))

    def _skip_number(self, schema: Any, name: str, depth: int) -> None:
        self._varint()

    def _take(self, size: int) -> tuple[int, int]:
        start, end = self.position, self.position + size
        if size < 0 or end > len(self.bytes):
            raise NotThisSchemaError("a length exceeds the record")
        self.position = end
        return start, end

    def _varint(self) -> int:
        value = shift = 0
        for _ in range(_MAX_VARINT_BYTES):
            byte = self.bytes[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
        raise NotThisSchemaError("a number does not end")
