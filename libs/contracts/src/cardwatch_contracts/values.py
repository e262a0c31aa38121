"""The values of fields that may have only a few. Readers of a message refuse any other value."""

from typing import Final

# A time outside of these, microseconds since 1970, is no transaction's: of a clock that was never set, or beyond what
# the tables' readers can hold. The latter is left out.
EARLIEST_EVENT_TIME: Final = 946_684_800_000_000  # 2000-01-01T00:00:00Z
LATEST_EVENT_TIME: Final = 253_370_764_800_000_000  # 9999-01-01T00:00:00Z

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
