"""The population: cardholders with a home place and habits, towns, merchants. Fixed by its seed, no I/O.

People and merchants are stored as columns of numbers, and an object is created when one is looked at: a million cards
take some hundred megabytes less memory that way.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from cardwatch_card_numbers.tokens import CardIdentity, tokenise

from cardwatch_producer.countries import Country, countries
from cardwatch_producer.habits import CATEGORIES, IN_TOWN, ONLINE, RHYTHM, Category

_TOWNS_A_COUNTRY: Final = 8
_TRAVELLER_SHARE: Final = 0.03
_ONLINE_MERCHANT_SHARE: Final = 0.25
_ALWAYS_THERE: Final = 4  # categories of IN_TOWN that every town has

FEWEST_CARDS: Final = 1_000
FEWEST_MERCHANTS: Final = 4_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Card(NamedTuple):
    """A card and its holder.

    Attributes:
        number: the PAN; stays inside the simulator unless it plays a legacy producer that sends JSON.
        home: where it was issued and its holder lives.
        here: the country in which its holder is now (3 in 100 travel).
        town: index of the town in which its holder is now.
        spending: what the holder spends, relative to others in the same shop.
    """

    ordinal: int
    number: str
    identity: CardIdentity
    home: Country
    here: Country
    town: int
    spending: float

    @property
    def device_id(self) -> str:
        """The holder's telephone."""
        return f"D{self.ordinal:08d}"

    @property
    def ip_address(self) -> str:
        """The holder's address, in the range that is set aside for private networks."""
        return f"10.{self.ordinal >> 16 & 255}.{self.ordinal >> 8 & 255}.{self.ordinal & 255}"


class Merchant(NamedTuple):
    """A merchant; ``latitude`` and ``longitude`` in degrees WGS 84."""

    merchant_id: str
    category: Category
    country: Country
    latitude: float
    longitude: float


class Population:
    """All cardholders and merchants of the simulation."""

    def __init__(self, *, seed: int, cards: int, merchants: int, token_key: bytes) -> None:
        """``token_key`` makes the card tokens; the same seed and key make the same population."""
        rng = np.random.default_rng([seed, 1])
        self.countries: Final = countries()
        self.card_count: Final = cards
        self._token_key = token_key
        weights = np.array([country.cardholder_weight for country in self.countries])
        self._make_towns(rng, weights / weights.sum())
        self._make_people(rng, cards)
        self._make_merchants(rng, merchants)
        self._first_account: int = int(rng.integers(10**9))
        self.card: Final[Callable[[int], Card]] = lru_cache(maxsize=100_000)(self._card)

    def _make_towns(self, rng: np.random.Generator, country_share: Floats) -> None:
        count = len(self.countries)
        self._town_country: Ints = np.repeat(np.arange(count), _TOWNS_A_COUNTRY)
        size = 1.0 / np.arange(1, _TOWNS_A_COUNTRY + 1)  # Zipf's law
        self._town_share: Floats = np.outer(country_share, size / size.sum()).ravel()
        centre = np.array([(c.latitude, c.longitude) for c in self.countries])
        self._town_place: Floats = centre[self._town_country] + rng.normal(0.0, 0.9, (count * _TOWNS_A_COUNTRY, 2))

    def _make_people(self, rng: np.random.Generator, cards: int) -> None:
        towns = len(self._town_country)
        self._home_town: Ints = rng.choice(towns, cards, p=self._town_share)
        self._home_country: Ints = self._town_country[self._home_town]
        elsewhere = rng.choice(towns, cards, p=self._town_share)
        self._town: Ints = np.where(rng.random(cards) < _TRAVELLER_SHARE, elsewhere, self._home_town)
        self._country: Ints = self._town_country[self._town]
        self._activity: Floats = rng.gamma(2.0, 0.5, cards)
        self._spending: Floats = rng.lognormal(0.0, 0.35, cards)

    def _make_merchants(self, rng: np.random.Generator, merchants: int) -> None:
        towns = len(self._town_country)
        online = int(merchants * _ONLINE_MERCHANT_SHARE)
        basic = towns * _ALWAYS_THERE
        more = max(0, merchants - online - basic)
        in_town_share = np.array([category.share for category in IN_TOWN])
        online_share = np.array([category.share for category in ONLINE])
        town = np.concatenate(
            [
                np.repeat(np.arange(towns), _ALWAYS_THERE),
                rng.choice(towns, more, p=self._town_share),
                rng.choice(towns, online, p=self._town_share),
            ]
        )
        category = np.concatenate(
            [
                np.tile(np.arange(_ALWAYS_THERE), towns),
                rng.choice(len(IN_TOWN), more, p=in_town_share / in_town_share.sum()),
                len(IN_TOWN) + rng.choice(len(ONLINE), online, p=online_share / online_share.sum()),
            ]
        )
        # Merchants of a group are stored side by side: a town's are group `town`, all online merchants are the last
        # group.
        group = np.where(category < len(IN_TOWN), town, towns)
        order = np.argsort(group, kind="stable")
        count = len(order)
        self._merchant_town: Ints = town[order]
        self._merchant_category: Ints = category[order]
        self._merchant_place: Floats = self._town_place[self._merchant_town] + rng.normal(0.0, 0.03, (count, 2))
        self._popularity: Floats = np.concatenate([[0.0], np.cumsum(rng.lognormal(0.0, 0.5, count))])
        self._group_start: Ints = np.searchsorted(group[order], np.arange(towns + 2))
        self.online_group: int = towns

    def payers_at(self, hour_utc: int) -> Floats:
        """Cumulative weights of all cards in that hour (UTC), by their holders' activity and local time."""
        rhythm = np.array([RHYTHM[country.local_hour(hour_utc)] for country in self.countries])
        cumulative: Floats = np.cumsum(self._activity * rhythm[self._country])
        return cumulative

    def _card(self, index: int) -> Card:
        home = self.countries[int(self._home_country[index])]
        # 7919 is coprime to 10^9: every card has an account number of its own.
        number = with_check_digit(f"{home.issuer_bin}{(self._first_account + index * 7919) % 10**9:09d}")
        return Card(
            index,
            number,
            tokenise(number, self._token_key),
            home,
            self.countries[int(self._country[index])],
            int(self._town[index]),
            float(self._spending[index]),
        )

    def merchant(self, index: int) -> Merchant:
        """The merchant of that index, counted from 0."""
        latitude, longitude = self._merchant_place[index]
        return Merchant(
            f"M{index:08d}",
            CATEGORIES[int(self._merchant_category[index])],
            self.countries[int(self._town_country[self._merchant_town[index]])],
            # Five decimals are a metre, and too few digits to look like a card number.
            round(max(-90.0, min(90.0, float(latitude))), 5),
            round((float(longitude) + 180.0) % 360.0 - 180.0, 5),
        )

    def merchant_in_group(self, group: int, draw: float) -> Merchant:
        """A merchant of a town (its index) or of ``online_group``, by popularity; ``draw`` is uniform in [0, 1)."""
        first, last = int(self._group_start[group]), int(self._group_start[group + 1])
        low, high = self._popularity[first], self._popularity[last]
        index = int(np.searchsorted(self._popularity, low + draw * (high - low), side="right")) - 1
        return self.merchant(min(max(index, first), last - 1))

    def any_online_merchant(self, draw: float) -> Merchant:
        """An online merchant, each as likely as the other; ``draw`` is uniform in [0, 1)."""
        first, last = int(self._group_start[self.online_group]), int(self._group_start[self.online_group + 1])
        return self.merchant(first + int(draw * (last - first)))

    def town_in(self, country: Country, draw: float) -> int:
        """A town of a country, by ``draw``, uniform in [0, 1)."""
        return self.countries.index(country) * _TOWNS_A_COUNTRY + int(draw * _TOWNS_A_COUNTRY)


def with_check_digit(digits: str) -> str:
    """Append the Luhn check digit (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = int(char)
        if position % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return f"{digits}{-total % 10}"
