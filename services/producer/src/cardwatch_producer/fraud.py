"""Fraud, in four scenarios. Each plans an *episode*: the payments of one instance of it, with the time they are due.

Lengths are chosen so that an episode ends before the simulation does; one that cannot is not begun.
"""

import math
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from cardwatch_producer.countries import Country
from cardwatch_producer.payments import OrdinaryTraffic, Payment, pay
from cardwatch_producer.population import Card, Merchant, Population

VELOCITY_BURST: Final = "velocity_burst"
CARD_TESTING: Final = "card_testing"
IMPOSSIBLE_TRAVEL: Final = "impossible_travel"
ACCOUNT_TAKEOVER: Final = "account_takeover"
SCENARIOS: Final = (VELOCITY_BURST, CARD_TESTING, IMPOSSIBLE_TRAVEL, ACCOUNT_TAKEOVER)

# The issuer blocks a card after fraud; after that long its holder has a new one, and the simulator uses the same again.
_BLOCKED_SECONDS: Final = 2 * 60 * 60.0
# No episode is squeezed into less, and it ends that long before the simulation: its last payment must be sent.
_SHORTEST_SECONDS: Final = 8.0
_MARGIN_SECONDS: Final = 0.5
_FAR_KILOMETRES: Final = 3_000.0
_EARTH_RADIUS_KILOMETRES: Final = 6_371.0


class Planned(NamedTuple):
    """One payment of an episode, due at that second of the simulation; not every one is itself fraud."""

    due: float
    payment: Payment
    is_fraud: bool


class Episode(NamedTuple):
    """One instance of a scenario; ``scenario`` is what its labels say: ``velocity_burst#17``."""

    scenario: str
    payments: list[Planned]

    @property
    def fraud_count(self) -> int:
        """How many of its payments are fraud."""
        return sum(planned.is_fraud for planned in self.payments)


class Fraudsters:
    """Plans episodes. Its cards make no ordinary payments meanwhile, so that an episode mixes with nothing else."""

    def __init__(self, population: Population, traffic: OrdinaryTraffic, rng: Random, *, ends_at: float) -> None:
        """``ends_at``: the second at which the simulation ends, infinity if never."""
        self._population = population
        self._traffic = traffic
        self._rng = rng
        self._ends_at = ends_at
        self._count = 0
        self._planners: Final[dict[str, Callable[[float, int], list[Planned]]]] = {
            VELOCITY_BURST: self._velocity_burst,
            CARD_TESTING: self._card_testing,
            IMPOSSIBLE_TRAVEL: self._impossible_travel,
            ACCOUNT_TAKEOVER: self._account_takeover,
        }

    def plan(self, at: float, hour_utc: int) -> Episode | None:
        """The next episode, beginning at that second; None where none can be begun now."""
        scenario = self._rng.choice(SCENARIOS)
        payments = self._planners[scenario](at, hour_utc)
        if not payments:
            return None
        self._count += 1
        return Episode(f"{scenario}#{self._count}", payments)

    def _velocity_burst(self, at: float, hour_utc: int) -> list[Planned]:
        """One card, 6 to 10 payments within 20 to 60 s, in shops of the holder's town or online."""
        rng = self._rng
        span = self._span(at, 20.0, 60.0)
        card = self._victim(at, hour_utc)
        if span is None or card is None:
            return []
        count = rng.randint(6, 10)
        online = rng.random() < 0.5
        # Some issuers notice: the last payments are then declined.
        declined_from = count - rng.randint(0, 3)
        planned = []
        for number, due in enumerate(self._spread(at, span, count)):
            merchant = self._online_shop() if online else self._shop_in(card.town)
            status = "approved" if number < declined_from else "declined"
            payment = self._stolen(card, merchant, rng.uniform(10.0, 90.0), status=status)
            planned.append(Planned(due, payment, is_fraud=True))
        self._traffic.rest(card, at + span + _BLOCKED_SECONDS)
        return planned

    def _card_testing(self, at: float, hour_utc: int) -> list[Planned]:
        """10 to 20 stolen card numbers tried at one online shop with amounts below five euros, most declined."""
        rng = self._rng
        span = self._span(at, 15.0, 60.0)
        if span is None:
            return []
        cards: dict[int, Card] = {}
        for _ in range(rng.randint(10, 20)):
            card = self._victim(at, hour_utc)
            if card is not None:
                cards[card.ordinal] = card
        if len(cards) < 10:
            return []
        merchant = self._online_shop()
        planned = []
        for card, due in zip(cards.values(), self._spread(at, span, len(cards)), strict=True):
            status = "declined" if rng.random() < 0.8 else "approved"
            planned.append(
                Planned(due, self._stolen(card, merchant, rng.uniform(0.5, 3.8), status=status), is_fraud=True)
            )
            self._traffic.rest(card, at + span + _BLOCKED_SECONDS)
        return planned

    def _impossible_travel(self, at: float, hour_utc: int) -> list[Planned]:
        """The holder pays in a shop; minutes later a copy of the card is used in shops of a country far away."""
        rng = self._rng
        count = rng.randint(1, 3)
        span = self._span(at, 20.0, 240.0)
        card = self._victim(at, hour_utc)
        if span is None or card is None:
            return []
        far = rng.choice([c for c in self._population.countries if kilometres(card.here, c) > _FAR_KILOMETRES])
        town = self._population.town_in(far, rng.random())
        own = pay(card, self._shop_in(card.town), rng.uniform(8.0, 80.0), rng=rng)
        planned = [Planned(at, own, is_fraud=False)]
        # The copies follow within the second half, the last at the end of the span.
        for number in range(count):
            due = at + span * (1.0 - 0.5 * number / count)
            payment = pay(card, self._shop_in(town), rng.uniform(60.0, 400.0), rng=rng)
            planned.append(Planned(due, payment, is_fraud=True))
        self._traffic.rest(card, at + span + _BLOCKED_SECONDS)
        return sorted(planned, key=lambda item: item.due)

    def _account_takeover(self, at: float, hour_utc: int) -> list[Planned]:
        """3 to 5 online purchases far above the holder's habit within minutes, above 3,200 euros together."""
        rng = self._rng
        span = self._span(at, 20.0, 180.0)
        card = self._victim(at, hour_utc)
        if span is None or card is None:
            return []
        count = rng.randint(3, 5)
        each = rng.uniform(3_600.0, 6_500.0) / count
        planned = []
        for due in self._spread(at, span, count):
            payment = self._stolen(card, self._online_shop(), each * rng.uniform(0.9, 1.1))
            planned.append(Planned(due, payment, is_fraud=True))
        self._traffic.rest(card, at + span + _BLOCKED_SECONDS)
        return planned

    def _span(self, at: float, least: float, most: float) -> float | None:
        """A length in seconds that fits before the end, below ``least`` only where little time is left."""
        room = self._ends_at - at - _MARGIN_SECONDS
        return None if room < _SHORTEST_SECONDS else self._rng.uniform(min(least, room), min(most, room))

    def _spread(self, at: float, span: float, count: int) -> list[float]:
        """``count`` times over the span, the first at its begin, unevenly apart."""
        step = span / count
        return [at] + [at + step * (number + self._rng.random() * 0.9) for number in range(1, count)]

    def _victim(self, at: float, hour_utc: int) -> Card | None:
        card = self._traffic.draw_card(at, hour_utc, self._rng)
        return card if self._traffic.is_free(card, at) else None

    def _online_shop(self) -> Merchant:
        return self._population.any_online_merchant(self._rng.random())

    def _shop_in(self, town: int) -> Merchant:
        """A shop, not a cash machine."""
        while True:
            merchant = self._population.merchant_in_group(town, self._rng.random())
            if merchant.category.channel == "pos":
                return merchant

    def _stolen(self, card: Card, merchant: Merchant, euros: float, *, status: str = "approved") -> Payment:
        """A payment by somebody else: online from a device and an address that are not the holder's."""
        payment = pay(card, merchant, euros, rng=self._rng, status=status)
        if payment.ip_address is None:
            return payment
        device = self._rng.randrange(5_000)
        # 198.18.0.0/15 is set aside for tests of networks (RFC 2544): nobody's address.
        return payment._replace(device_id=f"X{device:05d}", ip_address=f"198.18.{device >> 8}.{device & 255}")


def kilometres(one: Country, other: Country) -> float:
    """Distance between the middles of two countries over the ground (haversine formula)."""
    phi, psi = math.radians(one.latitude), math.radians(other.latitude)
    half = math.sin((psi - phi) / 2) ** 2
    half += math.cos(phi) * math.cos(psi) * math.sin(math.radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * _EARTH_RADIUS_KILOMETRES * math.asin(math.sqrt(half))
