"""The values of fields that may have only a few. Readers of a message refuse any other value."""

from typing import Final

CHANNELS: Final = frozenset({"pos", "atm", "ecom", "moto"})
TRANSACTION_TYPES: Final = frozenset({"purchase", "withdrawal", "refund"})
STATUSES: Final = frozenset({"approved", "declined"})

# Of alert_feedback.avsc.
ALERT_LABELS: Final = ("fraud", "legitimate", "unclear")

# The fields of its transaction that an alert (alert.avsc) has in addition to those that rules use.
SHOWN_FIELDS: Final = (
    "transaction_id",
    "card_token",
    "card_bin",
    "card_last_four",
    "merchant_id",
    "country",
    "amount_minor",
    "currency",
    "base_amount_minor",
)
