"""How often the scanner of card numbers is wrong, and its cost: ``python benchmarks/card_number_errors.py [count]``.

Card numbers of every issuer, valid and drawn at random, are written in the notations below: each that is not found is a
miss. The same is done in transaction_id, where digits by themselves count only as a whole. Identifiers that are none
are drawn at random: each in which something is found is a false alarm. Then the times per message and per megabyte.
Needs no platform; the draws are seeded.
"""

import base64
import random
import time
import timeit
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import quote

import tests_on_path  # noqa: F401 - makes support importable
import typer
from cardwatch_card_numbers.check_digits import MAX_DIGITS, LuhnSums, luhn_valid
from cardwatch_card_numbers.exemptions import is_exempt
from cardwatch_card_numbers.issuers import ISSUER_RANGES
from cardwatch_card_numbers.masking import mask_bytes
from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_card_numbers.testing import make_card_number
from cardwatch_contracts.wire import Encoder
from cardwatch_enricher.pipeline.validator import check_card_numbers
from support.records import transaction_record

SEED: Final = 20

_FULL_WIDTH: Final = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
_SPACES: Final = (" ", "-", ".", "/", "_", "  ", "\u00a0", "\u2009", "\u2011")

Draw = Callable[[random.Random], str]


def _grouped(number: str, by: str) -> str:
    return by.join(_groups(number))


def _groups(number: str) -> list[str]:
    sizes = (4, 6, 5) if len(number) in (14, 15) else (4, 4, 4, 4, 3)
    groups, position = [], 0
    for size in sizes:
        groups.append(number[position : position + size])
        position += size
    return [group for group in groups if group]


NOTATIONS: Final[dict[str, Callable[[random.Random, str], str]]] = {
    "plain": lambda draw, number: number,
    "in groups": lambda draw, number: _grouped(number, draw.choice(_SPACES)),
    "with a security code or expiry date": lambda draw, number: (
        f"{_grouped(number, ' ')} {draw.choice(('123', '12/25', '1225', '12/25 123'))}"
    ),
    "glued to letters": lambda draw, number: (
        f"{draw.choice(('PAN', 'x', 'f', 'card_'))}{number}{draw.choice(('EXP', 'y', ''))}"
    ),
    "glued to digits": lambda draw, number: f"{draw.randrange(100)}{number}{draw.randrange(1000):03d}",
    "full-width": lambda draw, number: number.translate(_FULL_WIDTH),
    "percent-encoded": lambda draw, number: quote(_grouped(number, " ")),
    "base64": lambda draw, number: base64.b64encode(f"{'x' * draw.randrange(3)}{number}".encode()).decode(),
    "base64 in lines": lambda draw, number: base64.encodebytes(f"{'x' * draw.randrange(76)}{number}".encode()).decode(),
    "base64 of base64": lambda draw, number: base64.b64encode(base64.b64encode(number.encode())).decode(),
    "base32": lambda draw, number: base64.b32encode(f"{'x' * draw.randrange(5)}{number}".encode()).decode(),
    "different marks between groups": lambda draw, number: "".join(
        mark + group
        for mark, group in zip(["", *draw.choices((",", ";", ":", "|", " ", "-"), k=4)], _groups(number), strict=False)
    ),
    "track 1": lambda draw, number: f"%B{number}^DOE/JANE^2512101{draw.randrange(10**8):08d}?",
    "track 2": lambda draw, number: f";{number}=2512101{draw.randrange(10**8):08d}?",
    "mixed with text": lambda draw, number: f"order {draw.randrange(10**6)}, paid with {_grouped(number, '-')} today",
}


def _among_digits(before: int, behind: int) -> Callable[[random.Random, str], str]:
    def write(draw: random.Random, number: str) -> str:
        (left, right) = ("".join(draw.choices("0123456789", k=count)) for count in (before, behind))
        return left + number + right

    return write


AS_IDENTIFIER: Final = {
    **{notation: write for notation, write in NOTATIONS.items() if notation != "glued to digits"},
    "one digit before it": _among_digits(1, 0),
    "one digit behind it": _among_digits(0, 1),
    "7 digits before it (20 and more)": _among_digits(7, 0),
    "7 digits behind it (20 and more)": _among_digits(0, 7),
    "4 digits before and behind it": _among_digits(4, 4),
}
"""Notations in transaction_id, where digits by themselves are a card number only as a whole."""


def _snowflake(epoch: datetime) -> Draw:
    """Milliseconds since the epoch, and 22 bits of machine and sequence."""
    milliseconds = epoch.timestamp() * 1e3
    return lambda draw: str((round(_time(draw).timestamp() * 1e3 - milliseconds) << 22) + draw.getrandbits(22))


def _imei(draw: random.Random) -> str:
    digits = draw.choice(("01", "35", "86", "99")) + f"{draw.randrange(10**12):012d}"
    return next(digits + last for last in "0123456789" if luhn_valid(digits + last))


def _reference_number(draw: random.Random) -> str:
    digits = f"{draw.choice((2, 7))}{draw.choice((4, 5))}{draw.randrange(10**20):020d}"
    return next(digits + last for last in "0123456789" if LuhnSums(digits + last).valid(0, len(digits) + 1))


def _time(draw: random.Random) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=draw.randrange(365 * 86_400_000_000))


IDENTIFIERS: Final[dict[str, Draw]] = {
    "IMEI": _imei,
    "UUID": lambda draw: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    "card token (32 hexadecimal digits)": lambda draw: f"{draw.getrandbits(128):032x}",
    "ULID": lambda draw: "".join(draw.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=26)),
    "base64 of 24 random bytes": lambda draw: base64.b64encode(draw.randbytes(24)).decode(),
    "base32 of 20 random bytes": lambda draw: base64.b32encode(draw.randbytes(20)).decode(),
    "four numbers of four digits (4711, 2026, …)": lambda draw: ", ".join(
        f"{draw.randrange(10**4):04d}" for _ in range(4)
    ),
    "numbers of four digits, different marks": lambda draw: "".join(
        f"{draw.randrange(10**4):04d}{draw.choice((',', ';', ':', ', '))}" for _ in range(4)
    ),
    "order id (ORD-20261124-000123)": lambda draw: f"ORD-{_time(draw):%Y%m%d}-{draw.randrange(10**6):06d}",
    "microseconds since 1970, as text": lambda draw: str(round(_time(draw).timestamp() * 1e6)),
    "milliseconds since 1970, as text": lambda draw: str(round(_time(draw).timestamp() * 1e3)),
    "ISO 8601 time": lambda draw: _time(draw).isoformat(),
    "compact time (20261124100000123)": lambda draw: f"{_time(draw):%Y%m%d%H%M%S%f}"[:17],
    "IPv4 address": lambda draw: ".".join(str(draw.randrange(256)) for _ in range(4)),
    "coordinate, in another field": lambda draw: repr(draw.uniform(-180, 180)),
    "longitude": lambda draw: repr(draw.uniform(-180, 180)),
    "event_time": lambda draw: str(round(_time(draw).timestamp() * 1e6)),
    "transaction_id, a Snowflake since 2010": _snowflake(datetime(2010, 11, 4, 1, 42, 54, 657_000, tzinfo=UTC)),
    "transaction_id, a Snowflake since 2015": _snowflake(datetime(2015, 1, 1, tzinfo=UTC)),
    "another field, a Snowflake since 2015": _snowflake(datetime(2015, 1, 1, tzinfo=UTC)),
    "transaction_id, an acquirer reference number": _reference_number,
    **{
        f"random number of {length} digits": lambda draw, length=length: f"{draw.randrange(10**length):0{length}d}"  # type: ignore[misc]
        for length in range(12, 24)
    },
    **{
        f"transaction_id of {length} digits": lambda draw, length=length: f"{draw.randrange(10**length):0{length}d}"  # type: ignore[misc]
        for length in range(12, 24)
    },
}


def misses(
    count: int, notations: Mapping[str, Callable[[random.Random, str], str]], field: str, max_digits: int
) -> Iterator[tuple[str, int, int]]:
    """By notation: how many card numbers were written in it in a field, and how many of them were not found."""
    draw = random.Random(SEED)
    written, missed = Counter[str](), Counter[str]()
    for number in range(count):
        issuer = ISSUER_RANGES[number % len(ISSUER_RANGES)]
        lengths = [length for length in issuer.lengths if length <= max_digits]
        card_number = make_card_number(draw, draw.choice((issuer.first, issuer.last)), draw.choice(lengths))
        notation = draw.choice(list(notations))
        written[notation] += 1
        text = notations[notation](draw, card_number)
        missed[notation] += not holds_card_number(text) or is_exempt(field, text)
    for notation in notations:
        yield notation, written[notation], missed[notation]


def false_alarms(count: int) -> Iterator[tuple[str, int, int]]:
    """By kind of identifier, which begins with the field's name where it counts: how many were drawn, and found."""
    for kind, make in IDENTIFIERS.items():
        draw = random.Random(SEED)
        field, texts = kind.replace(",", "").split()[0], (make(draw) for _ in range(count))
        yield kind, count, sum(holds_card_number(text) and not is_exempt(field, text) for text in texts)


def costs() -> Iterator[tuple[str, float]]:
    """Seconds: of accepting one transaction, of masking one, and of masking a megabyte."""
    record = transaction_record(latitude=52.5, longitude=13.4, ip_address="192.168.100.123")
    yield "accept a transaction", min(timeit.repeat(lambda: check_card_numbers(record), number=10_000)) / 10_000
    value = Encoder("transaction", 1)(record)
    yield "mask the bytes of a transaction", min(timeit.repeat(lambda: mask_bytes(value), number=10_000)) / 10_000
    for name, text in {"digits": "7919", "card numbers": "4111111111111111 ", "JSON": '{"a":[1,"x 4111"]},'}.items():
        for size in (64 * 1024, 1024 * 1024):
            long_value = ("[" * (name == "JSON") + text * (size // len(text))).encode()
            started = time.process_time()
            mask_bytes(long_value)
            yield f"mask {size // 1024} KiB of {name}", time.process_time() - started


def main(count: Annotated[int, typer.Argument(help="how many of each")] = 1_000_000) -> None:
    """Measure both error rates and the cost."""
    for field, notations, max_digits in (("note", NOTATIONS, MAX_DIGITS), ("transaction_id", AS_IDENTIFIER, 18)):
        print(f"card numbers of at most {max_digits} digits missed in {field}, by notation")
        total = Counter[str]()
        for notation, written, missed in misses(count, notations, field, max_digits):
            total.update(written=written, missed=missed)
            print(f"  {notation:40} {written:9,} {missed:7,} {missed / written:10.5%}")
        print(f"  {'all':40} {total['written']:9,} {total['missed']:7,} {total['missed'] / total['written']:10.5%}")
    print("false alarms, by kind of identifier")
    for kind, drawn, alarms in false_alarms(count):
        print(f"  {kind:40} {drawn:9,} {alarms:7,} {alarms / drawn:10.5%}")
    print("costs")
    for what, seconds in costs():
        print(f"  {what:40} {seconds * 1e6:12,.1f} µs")


if __name__ == "__main__":
    typer.run(main)
