"""The reference tables beside the code (``data/*.csv``): exchange rates, merchant category groups, BIN countries.

Each can be replaced by a file of one's own, see ``settings.py``. A table is read whole at start and
checked, so that a wrong file stops the service with one sentence and never refuses transactions.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_reference.countries import COUNTRY_CODES

# A rate is the number of units of the base currency for one unit of the other, times 10^8.
RATE_SCALE_DIGITS: Final = 8

OTHER_GROUP: Final = "other"

_CODES: Final = 10_000
_MAX_EXPONENT: Final = 4
_BIN_LENGTHS: Final = (8, 7, 6)


@dataclass(frozen=True, slots=True)
class Rate:
    """How one currency converts into the base currency.

    Attributes:
        exponent: digits of its minor unit (ISO 4217): 2 for EUR, 0 for JPY, 3 for KWD.
        rate_e8: units of the base currency for one unit of this one, times 10^8.
    """

    exponent: int
    rate_e8: int


@dataclass(frozen=True, slots=True)
class ExchangeRates:
    """All rates to one base currency."""

    base_currency: str
    base_exponent: int
    rates: Mapping[str, Rate]


MerchantCategoryGroups = Mapping[str, str]
"""Four-digit merchant category code → group; every code is in it."""


@dataclass(frozen=True, slots=True)
class BinCountries:
    """Bank identification number → ISO 3166-1 alpha-2 country of the issuer."""

    countries: Mapping[str, str]

    def of(self, card_bin: str) -> str | None:
        """The country of a BIN of 6 to 8 digits, by its longest known prefix; None where none is known."""
        for length in _BIN_LENGTHS:
            country = self.countries.get(card_bin[:length])
            if country is not None:
                return country
        return None


def read_exchange_rates(base_currency: str = "EUR", path: Path | None = None) -> ExchangeRates:
    """Read ``currency,exponent,rate_e8``; ``path`` None takes the table that comes with this library.

    Raises:
        ConfigurationError: the file is not such a table, or the base currency is not in it at 1.
    """
    rates: dict[str, Rate] = {}
    for where, row in _rows("exchange_rates.csv", path, ("currency", "exponent", "rate_e8")):
        currency = row["currency"]
        if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            raise ConfigurationError(f"{where}: currency is {currency!r}; three capital letters (ISO 4217) are right")
        exponent, rate = _number(row["exponent"]), _number(row["rate_e8"])
        if exponent is None or exponent > _MAX_EXPONENT or not rate:
            raise ConfigurationError(
                f"{where}: exponent is {row['exponent']!r} and rate_e8 {row['rate_e8']!r}; "
                f"whole numbers from 0 to {_MAX_EXPONENT} and above 0 are right"
            )
        if currency in rates:
            raise ConfigurationError(f"{where}: {currency} is listed twice; one line a currency is right")
        rates[currency] = Rate(exponent, rate)
    base = rates.get(base_currency)
    if base is None or base.rate_e8 != 10**RATE_SCALE_DIGITS:
        raise ConfigurationError(
            f"the exchange rates do not list the base currency {base_currency} at 1; "
            f"a line `{base_currency},<exponent>,{10**RATE_SCALE_DIGITS}` and all rates relative to it are right"
        )
    return ExchangeRates(base_currency, base.exponent, rates)


def read_merchant_category_groups(path: Path | None = None) -> MerchantCategoryGroups:
    """Read ``first,last,group``, ranges of codes with both ends in; a code in no range is in the group ``other``.

    Raises:
        ConfigurationError: the file is not such a table, or two ranges overlap.
    """
    groups = {f"{code:04d}": OTHER_GROUP for code in range(_CODES)}
    taken: set[str] = set()
    for where, row in _rows("merchant_category_groups.csv", path, ("first", "last", "group")):
        first, last = _number(row["first"]), _number(row["last"])
        if first is None or last is None or not first <= last < _CODES or not row["group"]:
            raise ConfigurationError(
                f"{where}: {row['first']!r} to {row['last']!r} is {row['group']!r}; "
                "two four-digit codes in ascending order and a name are right"
            )
        codes = [f"{code:04d}" for code in range(first, last + 1)]
        if not taken.isdisjoint(codes):
            raise ConfigurationError(
                f"{where}: {row['first']} to {row['last']} overlaps an earlier range; one group a code is right"
            )
        taken.update(codes)
        groups.update(dict.fromkeys(codes, row["group"]))
    return groups


def read_bin_countries(path: Path | None = None) -> BinCountries:
    """Read ``bin,country``.

    Raises:
        ConfigurationError: the file is not such a table.
    """
    countries: dict[str, str] = {}
    for where, row in _rows("bin_countries.csv", path, ("bin", "country")):
        if _number(row["bin"]) is None or len(row["bin"]) not in _BIN_LENGTHS or row["country"] not in COUNTRY_CODES:
            raise ConfigurationError(
                f"{where}: BIN {row['bin']!r} is of {row['country']!r}; 6 to 8 digits and an ISO 3166-1 code are right"
            )
        countries[row["bin"]] = row["country"]
    return BinCountries(countries)


def _rows(name: str, path: Path | None, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with where it is; every cell is a stripped string."""
    shown = name if path is None else str(path)
    try:
        source = files("cardwatch_reference") / "data" / name if path is None else path
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{shown} cannot be read as UTF-8 text: {error}") from error
    reader = csv.DictReader(text.splitlines())
    if tuple(reader.fieldnames or ()) != columns:
        raise ConfigurationError(f"{shown} starts with {reader.fieldnames}; the line `{','.join(columns)}` is right")
    for row in reader:
        where = f"{shown}, line {reader.line_num}"
        if None in row or None in row.values():
            raise ConfigurationError(f"{where}: not {len(columns)} cells; `{','.join(columns)}` is right")
        yield where, {column: row[column].strip() for column in columns}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
