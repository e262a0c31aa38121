"""An ordinary payment: who pays whom, how much, through which channel. No I/O; randomness comes in as an argument."""

import math
from random import Random
from typing import Any, NamedTuple

import numpy as np

from cardwatch_producer.habits import (
    AWAY_FROM_TOWN_SHARE,
    DECLINED_SHARE,
    LEAST_EUROS,
    LEAST_PAUSE_SECONDS,
    MOST_EUROS,
    MOST_PAUSE_SECONDS,
    ONLINE_SHARE,
    REFUND_SHARE,
    WITHDRAWALS,
)
from cardwatch_producer.population import Card, Floats, Merchant, Population


class Payment(NamedTuple):
    """A payment before it has a time and an identity; ``amount_minor`` in the minor units of ``currency``."""

    card: Card
    merchant: Merchant
    amount_minor: int
    currency: str
    transaction_type: str
    status: str
    device_id: str
    ip_address: str | None

    def record(self, transaction_id: str, event_time_us: int, token_key_id: str) -> dict[str, Any]:
        """The transaction as schemas/transaction.avsc has it; ``event_time_us`` in microseconds since 1970, UTC."""
        token, card_bin, last_four = self.card.identity
        in_person = self.merchant.category.channel in ("pos", "atm")
        return {
            "transaction_id": transaction_id,
            "event_time": event_time_us,
            "card_token": token,
            "card_token_key_id": token_key_id,
            "card_bin": card_bin,
            "card_last_four": last_four,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "merchant_id": self.merchant.merchant_id,
            "merchant_category_code": self.merchant.category.code,
            "country": self.merchant.country.code,
            "channel": self.merchant.category.channel,
            "transaction_type": self.transaction_type,
            "status": self.status,
            "device_id": self.device_id,
            "ip_address": self.ip_address,
            "latitude": self.merchant.latitude if in_person else None,
            "longitude": self.merchant.longitude if in_person else None,
            "other_card_token": None,
            "other_card_token_key_id": None,
        }


def pay(
    card: Card, merchant: Merchant, euros: float, *, rng: Random, status: str = "approved", refund: bool = False
) -> Payment:
    """A payment of about that many euros: in town in the merchant's currency, online in the cardholder's own."""
    category = merchant.category
    in_person = category.channel in ("pos", "atm")
    country = merchant.country if in_person else card.home
    if category.code == WITHDRAWALS:
        kind, euros = "withdrawal", max(20.0, round(euros / 10) * 10.0)
    else:
        kind = "refund" if refund else "purchase"
    return Payment(
        card,
        merchant,
        country.minor_units(euros),
        country.currency,
        kind,
        status,
        # Each shop has three terminals; an online payment comes from the holder's own device.
        f"T{merchant.merchant_id[1:]}-{rng.randrange(3)}" if in_person else card.device_id,
        None if in_person else card.ip_address,
    )


class OrdinaryTraffic:
    """Cardholders going about their day."""

    def __init__(self, population: Population, rng: Random) -> None:
        self._population = population
        self._rng = rng
        self._hour = -1
        self._payers: Floats = np.empty(0)
        # Seconds of the simulation until which each card is not used again.
        self._resting_until: Floats = np.zeros(population.card_count)

    def rest(self, card: Card, until: float) -> None:
        """Make no ordinary payment with the card until that second of the simulation."""
        self._resting_until[card.ordinal] = max(until, self._resting_until[card.ordinal])

    def is_free(self, card: Card, at: float) -> bool:
        """Whether the card is not resting at that second of the simulation."""
        return bool(self._resting_until[card.ordinal] <= at)

    def draw_card(self, at: float, hour_utc: int, rng: Random) -> Card:
        """A card by its holder's activity and the hour; one that is not resting, if it can be found.

        It cannot where nearly all are resting: more payments are asked for than there are people to make them.
        """
        if hour_utc != self._hour:
            self._hour, self._payers = hour_utc, self._population.payers_at(hour_utc)
        total = float(self._payers[-1])
        index = 0
        for _ in range(64):
            index = int(np.searchsorted(self._payers, rng.random() * total, side="right"))
            index = min(index, self._population.card_count - 1)
            if self._resting_until[index] <= at:
                break
        return self._population.card(index)

    def payment(self, at: float, hour_utc: int) -> Payment:
        """One ordinary payment at that second of the simulation."""
        rng = self._rng
        card = self.draw_card(at, hour_utc, rng)
        self.rest(card, at + rng.uniform(LEAST_PAUSE_SECONDS, MOST_PAUSE_SECONDS))
        merchant = self._shop(card, hour_utc)
        category = merchant.category
        euros = category.median_euros * card.spending * math.exp(category.spread * rng.gauss(0.0, 1.0))
        return pay(
            card,
            merchant,
            min(max(euros, LEAST_EUROS), MOST_EUROS),
            rng=rng,
            status="declined" if rng.random() < DECLINED_SHARE else "approved",
            refund=rng.random() < REFUND_SHARE,
        )

    def _shop(self, card: Card, hour_utc: int) -> Merchant:
        rng = self._rng
        if rng.random() < ONLINE_SHARE:
            group = self._population.online_group
        elif rng.random() < AWAY_FROM_TOWN_SHARE:
            group = self._population.town_in(card.here, rng.random())
        else:
            group = card.town
        hour = card.here.local_hour(hour_utc)
        merchant = self._population.merchant_in_group(group, rng.random())
        for _ in range(4):
            if merchant.category.busy(hour):
                break
            merchant = self._population.merchant_in_group(group, rng.random())
        return merchant
