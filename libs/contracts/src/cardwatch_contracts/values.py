"""The values that fields of a transaction may have, where they are few. The enricher refuses any other."""

from typing import Final

CHANNELS: Final = frozenset({"pos", "atm", "ecom", "moto"})
TRANSACTION_TYPES: Final = frozenset({"purchase", "withdrawal", "refund"})
STATUSES: Final = frozenset({"approved", "declined"})
