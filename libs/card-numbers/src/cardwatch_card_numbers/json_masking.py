"""Masks a JSON text in place: what is not masked keeps its bytes, and the text stays JSON.

The text is read token by token, without recursion and without building its values, so that any text takes time in
proportion to its length.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from cardwatch_card_numbers.check_digits import MIN_DIGITS
from cardwatch_card_numbers.exemptions import NO_FIELDS, is_exempt
from cardwatch_card_numbers.sensitive_names import HIDDEN_VALUE, is_card_number_name, is_sensitive_name

Part = tuple[int, int]
"""Start and end of a part of the text."""

_MAX_DEPTH: Final = 1000

_TOKEN: Final = re.compile(
    r"[ \t\n\r]*(?:(?P<structural>[{}\[\],:])"
    r'|(?P<string>"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<literal>true|false|null))"
)
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_DIGIT: Final = re.compile(r"[0-9]")
_NO_FRACTION: Final = re.compile(r"\.0+$")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Expected(Enum):
    VALUE = auto()
    VALUE_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()


@dataclass(slots=True)
class _Container:
    """An object or a list that is not closed yet.

    Attributes:
        name: of an object, the name of the current member; of a list, of the member that it is the value of.
        hidden_from: where the value began that is dropped as a whole; None if none is.
        card_number: whether every digit in it is masked.
        names: an object's masked names, which must differ.
        elements: a list's texts and numbers as far as they are not masked by themselves, those of lists in it
            included: a card number may be spread over them.
        is_inner: whether it is a list in a list, and shares its elements.
    """

    is_object: bool
    name: str = ""
    hidden_from: int | None = None
    card_number: bool = False
    names: set[str] = field(default_factory=set)
    elements: list[tuple[int, int, str]] = field(default_factory=list)
    is_inner: bool = False


class JsonMasker:
    """Collects the replacements of one text."""

    def __init__(
        self,
        text: str,
        mask: Callable[[str], str],
        mask_exempt: Callable[[str], str],
        exempt_fields: frozenset[str] = NO_FIELDS,
    ) -> None:
        """
        Args:
            text: JSON, or not.
            mask: masks the content of a string.
            mask_exempt: masks what looks like a card number by chance only.
            exempt_fields: as for ``is_exempt``.
        """
        self._text: Final = text
        self._mask: Final = mask
        self._mask_exempt: Final = mask_exempt
        self._exempt_fields: Final = exempt_fields
        self._stack: Final[list[_Container]] = [_Container(is_object=False)]
        self._expected = _Expected.VALUE
        self._replacements: Final[dict[Part, str]] = {}
        self._hidden_depth: int | None = None

    def __call__(self) -> str | None:
        """The masked text; None if it is not JSON (RFC 8259), or nested more than a thousand levels deep."""
        position, text = 0, self._text
        while not (self._expected is _Expected.COMMA_OR_END and len(self._stack) == 1):
            token = _TOKEN.match(text, position)
            if token is None or not self._accept(token) or len(self._stack) > _MAX_DEPTH:
                return None
            position = token.end()
        blank = _BLANK.match(text, position)
        return self._replaced() if blank is not None and blank.end() == len(text) else None

    def _accept(self, token: re.Match[str]) -> bool:
        """Whether the token may stand here; what it means for the result is noted."""
        structural, expected, container = token["structural"], self._expected, self._stack[-1]
        if structural == "}" or structural == "]":
            ends = (_Expected.COMMA_OR_END, _Expected.NAME_OR_END if structural == "}" else _Expected.VALUE_OR_END)
            if expected not in ends or container.is_object is not (structural == "}") or len(self._stack) == 1:
                return False
            self._close(token.end())
        elif structural == ",":
            if expected is not _Expected.COMMA_OR_END:
                return False
            self._expected = _Expected.NAME if container.is_object else _Expected.VALUE
        elif structural == ":":
            if expected is not _Expected.COLON:
                return False
            self._expected = _Expected.VALUE
        elif expected in (_Expected.NAME, _Expected.NAME_OR_END):
            if token["string"] is None:
                return False
            self._name(container, *token.span("string"))
        elif expected in (_Expected.VALUE, _Expected.VALUE_OR_END):
            self._value(container, token, structural)
        else:
            return False
        return True

    def _name(self, container: _Container, start: int, end: int) -> None:
        container.name = name = _content(self._text[start:end])
        self._expected = _Expected.COLON
        masked = self._mask(name)
        if masked != name:
            while masked in container.names:
                masked += "*"
            container.names.add(masked)
            self._replace(start, end, _quoted(masked))

    def _value(self, container: _Container, token: re.Match[str], structural: str | None) -> None:
        name = container.name
        hides = self._hidden_depth is None and is_sensitive_name(name)
        if structural is not None:
            start = token.start("structural")
            inner = _Container(is_object=structural == "{", name=name)
            inner.card_number = container.card_number or is_card_number_name(name)
            if not (inner.is_object or container.is_object) and len(self._stack) > 1:
                inner.elements, inner.is_inner = container.elements, True
            if hides:
                inner.hidden_from, self._hidden_depth = start, len(self._stack)
            self._stack.append(inner)
            self._expected = _Expected.NAME_OR_END if inner.is_object else _Expected.VALUE_OR_END
            return
        self._expected = _Expected.COMMA_OR_END
        kind = str(token.lastgroup)
        (start, end) = token.span(kind)
        if kind == "literal":
            return
        written = self._text[start:end]
        content = _content(written) if kind == "string" else written
        masked: str
        if hides:
            masked = HIDDEN_VALUE if content else content
        elif container.card_number or is_card_number_name(name):
            masked = "".join("*" if char.isnumeric() else char for char in content)
        elif kind == "number" and len(content) < MIN_DIGITS:
            masked = content
        elif is_exempt(name, content, self._exempt_fields):
            masked = self._mask_exempt(content)
        else:
            masked = self._mask(content)
        if masked != content:
            self._replace(start, end, _quoted(masked))
        if not container.is_object and _DIGIT.search(masked):
            container.elements.append((start, end, masked))

    def _close(self, end: int) -> None:
        container = self._stack.pop()
        self._expected = _Expected.COMMA_OR_END
        if container.hidden_from is not None:
            start, self._hidden_depth = container.hidden_from, None
            while self._replacements and next(reversed(self._replacements))[0] >= start:
                self._replacements.popitem()
            self._replace(start, end, _quoted(HIDDEN_VALUE))
            return
        if container.is_inner:
            return
        joined = " ".join(_NO_FRACTION.sub("", content) for _, _, content in container.elements)
        if len(container.elements) > 1 and self._mask(joined) != joined:
            for start, element_end, content in container.elements:
                self._replace(start, element_end, _quoted("".join("*" if c.isnumeric() else c for c in content)))

    def _replace(self, start: int, end: int, new: str) -> None:
        self._replacements[start, end] = new

    def _replaced(self) -> str:
        parts, position = [], 0
        for (start, end), new in sorted(self._replacements.items()):
            parts += [self._text[position:start], new]
            position = end
        return "".join(parts) + self._text[position:]


def _content(string: str) -> str:
    return string[1:-1] if "\\" not in string else str(json.loads(string))


def _quoted(content: str) -> str:
    # Half a character, which only an escape can write, has to stay one.
    return json.dumps(content, ensure_ascii=_SURROGATE.search(content) is not None)
