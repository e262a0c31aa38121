"""Ids that are computed, never random: the same thing has the same id everywhere (UUIDv5, RFC 9562)."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11")

_VARIANT: Final = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def alert_id(rule_id: str, rule_version: int, transaction_id: str) -> str:
    """Identity of the alert that a version of a rule raises for a transaction."""
    return str(uuid5(NAMESPACE, f"{rule_id}|{rule_version}|{transaction_id}"))


def alert_ids(rule_id: str, rule_version: int, transaction_ids: Sequence[str]) -> list[str]:
    """``alert_id`` for many transactions, several times faster: their common prefix is hashed once."""
    common = sha1(NAMESPACE.bytes + f"{rule_id}|{rule_version}|".encode(), usedforsecurity=False)
    found = []
    for transaction_id in transaction_ids:
        digest = common.copy()
        digest.update(transaction_id.encode())
        text = digest.hexdigest()
        # Version 5 and the variant of RFC 9562 replace six bits.
        variant = _VARIANT[text[16]]
        found.append(f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}")
    return found


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """Identity of the dead letter of one message."""
    return str(uuid5(NAMESPACE, f"{topic}|{partition}|{offset}"))
