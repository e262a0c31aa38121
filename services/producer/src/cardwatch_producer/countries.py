"""The countries of the simulation: currency, place, clock, and the fictional BIN of its one issuer."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Country(NamedTuple):
    """One country.

    Attributes:
        code: ISO 3166-1 alpha-2.
        issuer_bin: six digits, fictional, of the cards issued there.
        currency: ISO 4217 alphabetic code.
        exponent: digits after the decimal point of the currency (ISO 4217 minor unit).
        units_per_eur: rough value of one euro in the currency, only to make amounts of a likely size.
        latitude, longitude: degrees WGS 84, around which its towns lie.
        utc_offset_hours: of its standard time; the simulation knows no daylight saving time.
        cardholder_weight: its share of cardholders, relative to the other countries.
    """

    code: str
    issuer_bin: str
    currency: str
    exponent: int
    units_per_eur: float
    latitude: float
    longitude: float
    utc_offset_hours: float
    cardholder_weight: float

    def minor_units(self, euros: float) -> int:
        """An amount in euros as about the same amount in the country's currency, in minor units, at least 1."""
        return max(1, round(euros * self.units_per_eur * 10.0**self.exponent))

    def local_hour(self, hour_utc: float) -> int:
        """The hour of day (0 to 23) there."""
        return int((hour_utc + self.utc_offset_hours) % 24)


@cache
def countries() -> tuple[Country, ...]:
    """All countries, in the order of ``data/countries.csv``."""
    text = (files("cardwatch_producer") / "data" / "countries.csv").read_text(encoding="utf-8")
    return tuple(
        Country(
            row["country"],
            row["bin"],
            row["currency"],
            int(row["exponent"]),
            float(row["units_per_eur"]),
            float(row["latitude"]),
            float(row["longitude"]),
            float(row["utc_offset_hours"]),
            float(row["cardholder_weight"]),
        )
        for row in csv.DictReader(text.splitlines())
    )
