"""What people pay for, how much, and when: the merchant categories and the rhythm of a day."""

from typing import Final, NamedTuple


class Category(NamedTuple):
    """A kind of merchant.

    Attributes:
        code: ISO 18245 merchant category code.
        channel: how its merchants are paid: pos, atm, ecom or moto.
        share: its share among the merchants of its kind (in town, or online).
        median_euros, spread: of the amounts, log-normal (spread: standard deviation of the logarithm).
        opens, closes: local hours between which most of its business is done; equal: around the clock.
    """

    code: str
    channel: str
    share: float
    median_euros: float
    spread: float
    opens: int
    closes: int

    def busy(self, local_hour: int) -> bool:
        """Whether that hour of day lies in its usual hours."""
        if self.opens == self.closes:
            return True
        if self.opens < self.closes:
            return self.opens <= local_hour < self.closes
        return local_hour >= self.opens or local_hour < self.closes


WITHDRAWALS: Final = "6011"

# The first four exist in every town, so that a person always finds something open.
IN_TOWN: Final = (
    Category("5411", "pos", 0.24, 32.0, 0.70, 7, 22),  # groceries
    Category("5541", "pos", 0.10, 55.0, 0.45, 0, 0),  # fuel
    Category("5812", "pos", 0.16, 34.0, 0.60, 11, 1),  # restaurants
    Category(WITHDRAWALS, "atm", 0.09, 80.0, 0.60, 0, 0),  # cash machines
    Category("5814", "pos", 0.13, 14.0, 0.50, 7, 2),  # fast food
    Category("5912", "pos", 0.07, 22.0, 0.60, 8, 20),  # pharmacies
    Category("5651", "pos", 0.07, 65.0, 0.60, 9, 21),  # clothing
    Category("5732", "pos", 0.03, 140.0, 0.75, 9, 21),  # electronics
    Category("4111", "pos", 0.06, 16.0, 0.55, 5, 1),  # local transport
    Category("7011", "pos", 0.03, 165.0, 0.55, 6, 23),  # hotels
    Category("7832", "pos", 0.02, 24.0, 0.40, 13, 24),  # cinemas
)
ONLINE: Final = (
    Category("5942", "ecom", 0.12, 24.0, 0.55, 0, 0),  # books
    Category("5311", "ecom", 0.34, 46.0, 0.70, 0, 0),  # department stores
    Category("5732", "ecom", 0.12, 150.0, 0.75, 0, 0),  # electronics
    Category("5816", "ecom", 0.16, 15.0, 0.50, 0, 0),  # digital goods: games
    Category("4722", "ecom", 0.08, 220.0, 0.60, 0, 0),  # travel agencies
    Category("4899", "ecom", 0.14, 17.0, 0.35, 0, 0),  # subscriptions
    Category("5964", "moto", 0.04, 52.0, 0.60, 8, 20),  # catalogue merchants
)
CATEGORIES: Final = IN_TOWN + ONLINE

# No ordinary payment is above this: people pay larger amounts by bank transfer.
MOST_EUROS: Final = 1_200.0
LEAST_EUROS: Final = 1.5

# Activity by local hour, relative to the busiest hour. The nights are busier than in reality: the simulation has a
# constant rate, and at night the few people who are awake must not have to make all of its payments.
RHYTHM: Final = (
    0.28, 0.24, 0.22, 0.20, 0.20, 0.24, 0.35, 0.52, 0.66, 0.74, 0.80, 0.90,
    1.00, 0.94, 0.84, 0.80, 0.86, 0.96, 1.00, 0.90, 0.74, 0.60, 0.46, 0.36,
)  # fmt: skip

ONLINE_SHARE: Final = 0.27
AWAY_FROM_TOWN_SHARE: Final = 0.15
DECLINED_SHARE: Final = 0.02
REFUND_SHARE: Final = 0.008

# A cardholder's next ordinary payment comes at least this long after the last (drawn between the two).
LEAST_PAUSE_SECONDS: Final = 180.0
MOST_PAUSE_SECONDS: Final = 240.0
