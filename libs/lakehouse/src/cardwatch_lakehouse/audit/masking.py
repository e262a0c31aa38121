"""Masks card numbers in messages before the audit trail keeps them: no table holds one."""

from cardwatch_card_numbers.masking import mask_bytes

from cardwatch_lakehouse.audit.chain import Content


def mask_content(content: Content) -> Content:
    """The message without card numbers; ``redacted`` where there were any.

    The writers of rules and lists refuse card numbers, so that only a message that somebody else has written has one.
    """
    (key, value) = (None if part is None else mask_bytes(part) for part in (content.key, content.value))
    if (key, value) == (content.key, content.value):
        return content
    return content._replace(key=key, value=value, redacted=True)
