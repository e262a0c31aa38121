"""Mutations of values, bytes and JSON texts, all from one seeded generator, so that a run can be repeated."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any, Final

from support.records import CARD_NUMBER

MAX_BYTES: Final = 950_000
"""Nearly what a broker takes by default."""

# One message of so many is as large as the broker takes it: more would only measure the broker.
_LARGE_ONE_IN: Final = 400

_TEXTS: Final = (
    "", " ", "\x00", "a\x00b", "\ufeff", "\u202e", "\u2028", "\x1b[31m", "null", "NaN", "'; drop table x; --", "{}",
    "\uff14\uff11\uff11\uff11", "\u0664\u0661", "\U0001f4b3" * 20, "e\u0301" * 30, "\ud800", "a\udfff", "%00", "${x}",
    CARD_NUMBER, " ".join(CARD_NUMBER), "-".join((CARD_NUMBER[:4], CARD_NUMBER[4:])), "=1+1", "../../etc/passwd",
    "0123456789abcdef" * 2, "EUR", "eur", "XXX", "AT", "??", "1e999", "true",
)  # fmt: skip
_NUMBERS: Final = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**18, 10**30, 10**400,
    253_402_300_800_000_000, -62_135_596_800_000_001,
)  # fmt: skip
_REALS: Final = (0.0, -0.0, 1.5, -1.5, 1e308, -1e308, 5e-324, 91.0, 181.0, float("nan"), float("inf"), float("-inf"))
_JSON_NUMBERS: Final = ("1e999", "-1e999", "1E+2", "0.1e1", "1e-400", "-0", "00", "+1", ".5", "5.", "0x10", "1_000")


class Mutator(random.Random):
    """A seeded generator of mutations."""

    def chance(self, one_in: int) -> bool:
        """Whether something happens that happens once in ``one_in`` times."""
        return self.randrange(one_in) == 0

    def size(self) -> int:
        """A length: mostly short, rarely as long as the broker takes it."""
        if self.chance(_LARGE_ONE_IN):
            return self.randrange(MAX_BYTES // 4, MAX_BYTES)
        return int(2 ** self.uniform(0, 12))

    def text(self) -> str:
        """A text that nobody expects."""
        match self.randrange(4):
            case 0:
                return self.choice(_TEXTS)
            case 1:
                return ", ".join([self.choice(_TEXTS)] * self.randrange(1, 40))
            case 2:
                return "".join(chr(self.randrange(0x20, 0xD800)) for _ in range(min(self.size(), 5000)))
            case _:
                return self.choice("x1 -é") * self.size()

    def json_value(self, depth: int = 0) -> Any:
        """A value of JSON."""
        match self.randrange(7):
            case 0:
                return self.choice([None, True, False])
            case 1:
                return self.choice(_NUMBERS)
            case 2:
                return self.choice(_REALS)
            case 3 if depth < 4:
                return [self.json_value(depth + 1) for _ in range(self.randrange(5))]
            case 4 if depth < 4:
                return {self.text()[:100]: self.json_value(depth + 1) for _ in range(self.randrange(5))}
            case _:
                return self.text()

    def like(self, value: Any) -> Any:
        """A value of the type of another one, as Avro needs it."""
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self.choice([number for number in _NUMBERS if -(2**63) <= number < 2**63])
        if isinstance(value, float):
            return self.choice(_REALS)
        if isinstance(value, str):
            return self.text().encode("utf-8", "replace").decode()
        if isinstance(value, bytes):
            return self.randbytes(min(self.size(), 5000))
        if isinstance(value, list):
            return value * self.randrange(50)
        return value

    def mutate_bytes(self, data: bytes) -> bytes:
        """Bytes with one to four defects."""
        for _ in range(self.randrange(1, 5)):
            data = self.choice(_BYTE_DEFECTS)(self, data)
        return data[:MAX_BYTES]

    def mutate_json(self, document: dict[str, Any]) -> bytes:
        """The text of a document with defects: of its structure, and rarely of its bytes."""
        document = dict(document)
        for _ in range(self.randrange(3)):
            name = self.choice([*document, self.text()[:200]])
            if self.chance(4):
                document.pop(name, None)
            else:
                document[name] = self.json_value()
        text = json.dumps(document, ensure_ascii=self.chance(2))
        if self.chance(3):
            text = self.choice(_JSON_DEFECTS)(self, text)
        encoding = "utf-16" if self.chance(60) else "utf-8"
        data = text.encode(encoding, "surrogatepass" if self.chance(2) and encoding == "utf-8" else "replace")
        return self.mutate_bytes(data) if self.chance(5) else data[:MAX_BYTES]


def _flip(mutator: Mutator, data: bytes) -> bytes:
    if not data:
        return b"\x00"
    at = mutator.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << mutator.randrange(8))]) + data[at + 1 :]


def _truncate(mutator: Mutator, data: bytes) -> bytes:
    return data[: mutator.randrange(len(data) + 1)]


def _insert(mutator: Mutator, data: bytes) -> bytes:
    at = mutator.randrange(len(data) + 1)
    return data[:at] + mutator.randbytes(mutator.randrange(1, 20)) + data[at:]


def _remove(mutator: Mutator, data: bytes) -> bytes:
    at = mutator.randrange(len(data) + 1)
    return data[:at] + data[at + mutator.randrange(1, 20) :]


def _repeat(mutator: Mutator, data: bytes) -> bytes:
    at = mutator.randrange(len(data) + 1)
    part = data[at : at + 30] or b"\xff"
    return data[:at] + part * (mutator.size() // len(part) + 1) + data[at:]


def _number(mutator: Mutator, data: bytes) -> bytes:
    """An extreme number where a length or a value may stand."""
    at = mutator.randrange(len(data) + 1)
    number = mutator.choice(
        [b"\xff" * 9 + b"\x01", b"\xfe" + b"\xff" * 8 + b"\x7f", b"\x01", b"\x80" * 20, b"\xff" * 4]
    )
    return data[:at] + number + data[at + len(number) :]


def _frame(mutator: Mutator, data: bytes) -> bytes:
    """Another magic byte or schema id."""
    schema_id = mutator.choice([0, 1, 2, 3, mutator.randrange(1, 60), 2**31 - 1, 2**32 - 1])
    return struct.pack(">BI", mutator.choice([0, 0, 0, 1, 255]), schema_id) + data[5:]


_BYTE_DEFECTS: Final[tuple[Callable[[Mutator, bytes], bytes], ...]] = (
    _flip, _flip, _truncate, _insert, _remove, _repeat, _number, _frame,
)  # fmt: skip


def _nest(mutator: Mutator, text: str) -> str:
    depth = mutator.choice([31, 32, 33, 600, 1000, mutator.size() // 2])
    (opened, closed) = mutator.choice([("[", "]"), ('{"a":', "}")])
    return text[:-1] + ',"nested":' + opened * depth + "1" + closed * depth + "}"


def _repeat_member(mutator: Mutator, text: str) -> str:
    return text[:-1] + "," + text[1:-1] * mutator.randrange(1, 3) + "}"


def _write_number(mutator: Mutator, text: str) -> str:
    number = mutator.choice([*_JSON_NUMBERS, "9" * min(mutator.size() + 1, 100_000)])
    return text[:-1] + f',"{mutator.choice(["amount_minor", "latitude", "x"])}":{number}' + "}"


def _add_members(mutator: Mutator, text: str) -> str:
    members = ",".join(f'"m{number}":{number}' for number in range(min(mutator.size(), 20_000)))
    return text[:-1] + "," + members + "}" if members else text


def _escape(mutator: Mutator, text: str) -> str:
    escapes = ["\\ud800", "\\u0000", "\\udc00\\ud800", "\\x", "\\", "\\u12", "\n", "\t", "\x01"]
    return text.replace('"', '"' + mutator.choice(escapes), mutator.randrange(1, 4))


def _surround(mutator: Mutator, text: str) -> str:
    return (
        mutator.choice(["\ufeff", " ", "[", "\n\n", "//", "\x00"]) + text + mutator.choice(["", " ", "]", "x", "\x00"])
    )


_JSON_DEFECTS: Final[tuple[Callable[[Mutator, str], str], ...]] = (
    _nest, _repeat_member, _write_number, _add_members, _escape, _surround,
)  # fmt: skip
