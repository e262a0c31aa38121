"""Masks card numbers in messages before the audit trail keeps them: no table holds one."""

from typing import Final

from cardwatch_card_numbers.masking import mask_bytes, mask_undecodable

from cardwatch_lakehouse.audit.chain import Content

# The first byte of Confluent's frame: what follows is Avro, whose bytes may look like digits.
_FRAME: Final = b"\0"


def mask_content(content: Content) -> Content:
    """The message without card numbers; ``redacted`` where there were any.

    The writers of rules and lists refuse card numbers, so that only a message that somebody else has written has one.
    """
    key = None if content.key is None else mask_bytes(content.key)
    value = content.value
    if value is not None:
        value = mask_bytes(value) if value.startswith(_FRAME) else mask_undecodable(value)
    if (key, value) == (content.key, content.value):
        return content
    return content._replace(key=key, value=value, redacted=True)
