"""Masks Avro binary by its writer's schema, in place: all fields of the writer, those that no reader knows included.

Lengths do not change: digits of texts become ``*``, and a number that holds a card number becomes 0, in as many
bytes. A number that is spread over the values of a list or map is found as well.
Source of the encoding: Apache Avro 1.11 specification, "Binary encoding".
"""

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_card_numbers.exemptions import is_exempt as _is_exempt
from cardwatch_card_numbers.masking import mask_bytes, mask_characters, mask_text_in_place
from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_card_numbers.sensitive_names import is_card_number_name, is_sensitive_name

_MAX_DEPTH: Final = 64
_MAX_VARINT_BYTES: Final = 10
# Values without any bytes, such as null, could be as many as a count says.
_FREE_VALUES: Final = 1000
# Numbers of more digits than 38 are in no known system; the time to write one grows with the square of its digits.
_MAX_DECIMAL_BYTES: Final = 64
_DIGIT: Final = re.compile("[0-9]")
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
        self._elements: list[_Element] | None = None
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
        # The fields of a record are no elements of the list that it is in.
        outer, self._elements = self._elements, None
        for field in schema["fields"]:
            # In a field that is dropped, everything is.
            self.walk(field["type"], name if is_sensitive_name(name) else field["name"], depth + 1)
        self._elements = outer

    def _array(self, schema: Any, name: str, depth: int) -> None:
        self._collection(lambda: self.walk(schema["items"], name, depth + 1))

    def _map(self, schema: Any, name: str, depth: int) -> None:
        def entry() -> None:
            start, end = self._take(self._varint())
            key = self.bytes[start:end].decode()
            self.bytes[start:end] = mask_text_in_place(key).encode()
            self.walk(schema["values"], name if is_sensitive_name(name) else key, depth + 1)

        self._collection(entry)

    def _collection(self, walk_one: Callable[[], None]) -> None:
        """Mask a number that is spread over the values of a list or map, those of lists and maps in it included."""
        if self._elements is not None:
            self._blocks(walk_one)
            return
        elements: list[_Element] = []
        self._elements = elements
        self._blocks(walk_one)
        self._elements = None
        if len(elements) > 1 and holds_card_number(" ".join(element.written for element in elements)):
            for element in elements:
                self._hide(element)

    def _hide(self, element: "_Element") -> None:
        size = element.end - element.start
        if element.hidden is None:
            text = self.bytes[element.start : element.end].decode("utf-8", "surrogateescape")
            masked = mask_characters(text, digits_only=True)
            self.bytes[element.start : element.end] = masked.encode("utf-8", "surrogateescape")
        else:
            self.bytes[element.start : element.end] = element.hidden(size)

    def _collect(self, start: int, end: int, written: str, hidden: Callable[[int], bytes] | None) -> None:
        if self._elements is not None and _DIGIT.search(written):
            self._elements.append(_Element(start, end, written, hidden))

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
        span = self._take(self._varint())
        if _is_decimal(schema):
            self._decimal(*span, name)
        else:
            self._mask(*span, name, is_text=schema == "string" or "string" in str(schema))

    def _fixed(self, schema: Any, name: str, depth: int) -> None:
        span = self._take(schema["size"])
        if _is_decimal(schema):
            self._decimal(*span, name)
        else:
            self._mask(*span, name, is_text=False)

    def _decimal(self, start: int, end: int, name: str) -> None:
        """Mask a decimal number, whose digits are those of an integer; its bytes may be text nevertheless."""
        written = str(int.from_bytes(self.bytes[start : start + _MAX_DECIMAL_BYTES][: end - start], "big", signed=True))
        if end - start <= _MAX_DECIMAL_BYTES and (written == "0" or self._hides(name, written)):
            self.bytes[start:end] = bytes(end - start)
            return
        elements, self._elements = self._elements, None
        self._mask(start, end, name, is_text=False)
        self._elements = elements
        self._collect(start, end, written, bytes)

    def _mask(self, start: int, end: int, name: str, *, is_text: bool) -> None:
        text = self.bytes[start:end].decode("utf-8", "strict" if is_text else "surrogateescape")
        if is_sensitive_name(name):
            masked = mask_characters(text)
        elif is_card_number_name(name):
            masked = mask_characters(text, digits_only=True)
        else:
            masked = text if _is_exempt(name, text, self._exempt_fields) else mask_text_in_place(text)
        if masked != text:
            self.bytes[start:end] = masked.encode("utf-8", "surrogateescape")
        self._collect(start, end, masked, None)

    def _number(self, schema: Any, name: str, depth: int) -> None:
        start = self.position
        written = str(self._varint())
        is_time = isinstance(schema, Mapping) and str(schema.get("logicalType", "")).endswith(("millis", "micros"))
        self._numeric(start, written, name, _zero_varint, is_exempt=is_time)

    def _double(self, schema: Any, name: str, depth: int) -> None:
        self._floating(_DOUBLE, name)

    def _float(self, schema: Any, name: str, depth: int) -> None:
        self._floating(_FLOAT, name)

    def _floating(self, layout: struct.Struct, name: str) -> None:
        start, end = self._take(layout.size)
        self._numeric(start, repr(layout.unpack(self.bytes[start:end])[0]), name, bytes)

    def _numeric(
        self, start: int, written: str, name: str, hidden: Callable[[int], bytes], *, is_exempt: bool = False
    ) -> None:
        """Mask the number from ``start`` to here, unless it is exempt; ``hidden`` makes a 0 of so many bytes."""
        if self._hides(name, written, is_exempt=is_exempt):
            self.bytes[start : self.position] = hidden(self.position - start)
        elif not is_exempt:
            self._collect(start, self.position, written.removesuffix(".0"), hidden)

    def _hides(self, name: str, written: str, *, is_exempt: bool = False) -> bool:
        if self._is_hidden(name, written):
            return True
        return not (is_exempt or _is_exempt(name, written, self._exempt_fields)) and holds_card_number(written)

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


class _Element(NamedTuple):
    """A value of a list or map, which may be a part of a card number.

    Attributes:
        start: where its bytes begin.
        end: where they end.
        written: as text.
        hidden: 0 in so many bytes; None for a text, of which the digits are masked.
    """

    start: int
    end: int
    written: str
    hidden: Callable[[int], bytes] | None


def _zero_varint(size: int) -> bytes:
    return b"\x80" * (size - 1) + b"\x00"


def _is_decimal(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("logicalType") == "decimal"
