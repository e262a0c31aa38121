"""Text in UTF-16 and UTF-32, which JSON may be written in (RFC 4627, section 3), as some senders do."""

import codecs
import re
from dataclasses import dataclass
from typing import Final

# By what the bytes begin with: a byte order mark, or characters of ASCII. Of an Avro message the first byte is 0, and
# the next ones are those of a number.
_ENCODINGS: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (rb"\xff\xfe\x00\x00|[\t\n\r -~]\x00\x00\x00", "utf-32-le"),
        (rb"\x00\x00\xfe\xff|\x00\x00\x00[\t\n\r -~]\x00\x00\x00", "utf-32-be"),
        (rb"\xff\xfe|[\t\n\r -~]\x00[^\x00]", "utf-16-le"),
        (rb"\xfe\xff|\x00[\t\n\r -~]\x00[^\x00]", "utf-16-be"),
    )
)
WIDE_TEXT: Final = "|".join(f"(?:{pattern.pattern.decode('latin-1')})" for pattern, _ in _ENCODINGS)
"""A regular expression, of Python and of Java, for the beginning of such bytes, as ISO 8859-1."""
_BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class WideText:
    """A text that was written with two or four bytes per character.

    Attributes:
        text: without byte order mark, and what the bytes end with that is no whole character.
        encoding: its name, as Python has it.
        before: the byte order mark, or nothing.
        behind: the bytes behind the last whole character.
    """

    text: str
    encoding: str
    before: bytes
    behind: bytes

    def with_text(self, text: str) -> bytes:
        """Another text, written in the same way."""
        return self.before + text.encode(self.encoding, "surrogatepass") + self.behind

    def mask_character(self, char: str) -> str:
        """Mask characters that take as many bytes as a character."""
        return "*" * (len(char.encode(self.encoding, "surrogatepass")) // _width(self.encoding))


def decode_wide(value: bytes) -> WideText | None:
    """The text of such bytes; None where they are none."""
    encoding = next((name for pattern, name in _ENCODINGS if pattern.match(value)), None)
    if encoding is None:
        return None
    end = len(value) - len(value) % _width(encoding)
    try:
        text = codecs.decode(value[:end], encoding, "surrogatepass")
    except UnicodeDecodeError:
        return None
    before = value[: _width(encoding)] if text.startswith(_BYTE_ORDER_MARK) else b""
    return WideText(text.removeprefix(_BYTE_ORDER_MARK), encoding, before, value[end:])


def _width(encoding: str) -> int:
    return 2 if encoding.startswith("utf-16") else 4
