"""Identities that are computed, never drawn: the same thing has the same id everywhere (UUIDv5, RFC 9562)."""

from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("5a0f6c4e-7f0b-5b0e-9d5c-2f6d1d6a9c11")


def alert_id(rule_id: str, rule_version: int, transaction_id: str) -> str:
    """Identity of the alert that a version of a rule raises for a transaction."""
    return str(uuid5(NAMESPACE, f"{rule_id}|{rule_version}|{transaction_id}"))


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """Identity of the dead letter of one message."""
    return str(uuid5(NAMESPACE, f"{topic}|{partition}|{offset}"))
