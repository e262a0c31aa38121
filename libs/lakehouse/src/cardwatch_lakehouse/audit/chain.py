"""A hash chain over the messages of a partition: each link's hash covers its content and the hash before it.

    hash(n) = SHA-256( frame(hash(n - 1)) + frame(topic) + frame(partition) + frame(offset) + frame(broker time)
                       + frame(key) + frame(value) + frame(redacted) )

    frame(x) = 0x00 where x is null, else 0x01 + its length (8 bytes, big endian) + x

Hashes are 64 hexadecimal digits in ASCII, numbers are decimal digits in ASCII, texts UTF-8, and redacted is 0 or 1. The
hash before the first link is 64 zeros. The length before each field makes two different contents differ as bytes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

GENESIS: Final = "0" * 64
"""The hash before the first link of each partition."""


class Content(NamedTuple):
    """One message as the table keeps it.

    Attributes:
        broker_time: microseconds since 1970-01-01 UTC; None for a time that is no real one.
        redacted: whether card numbers in key or value were masked.
    """

    topic: str
    partition: int
    offset: int
    broker_time: int | None
    key: bytes | None
    value: bytes | None
    redacted: bool = False


class Link(NamedTuple):
    """One link: a message, the hash of the link before it, and its own."""

    content: Content
    previous_hash: str
    hash: str

    @property
    def is_intact(self) -> bool:
        """Whether its hash follows from its content and the hash before it."""
        return link_hash(self.content, self.previous_hash) == self.hash


def link_hash(content: Content, previous_hash: str) -> str:
    """The hash of a link: 64 hexadecimal digits."""
    return hashlib.sha256(_frame(previous_hash.encode()) + _canonical(content)).hexdigest()


def content_digest(content: Content) -> bytes:
    """A SHA-256 of a message alone, by which two copies of it can be compared."""
    return hashlib.sha256(_canonical(content)).digest()


def chain(contents: Iterable[Content], previous_hash: str = GENESIS) -> Iterator[Link]:
    """The links of one partition's messages, in ascending order of their offsets.

    Args:
        previous_hash: the hash of the link before the first of them.
    """
    for content in contents:
        link = Link(content, previous_hash, link_hash(content, previous_hash))
        yield link
        previous_hash = link.hash


def _canonical(content: Content) -> bytes:
    topic, partition, offset, broker_time, key, value, redacted = content
    fields = (topic.encode(), _digits(partition), _digits(offset), _digits(broker_time), key, value, _digits(redacted))
    return b"".join(map(_frame, fields))


def _digits(number: int | None) -> bytes | None:
    return None if number is None else b"%d" % number


def _frame(field: bytes | None) -> bytes:
    return b"\0" if field is None else b"\1" + len(field).to_bytes(8, "big") + field
