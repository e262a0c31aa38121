"""The reference tables beside the code (``data/*.csv``): exchange rates, merchant category groups, BIN countries.

Each can be replaced by another file, see ``settings.py``. A table is read and checked at start, so that a wrong file
stops the service with one sentence that lists its mistakes, and no transaction is refused because of it.
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
_MAX_MISTAKES_SHOWN: Final = 10


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
    table = _Table("exchange_rates.csv", path, ("currency", "exponent", "rate_e8"))
    for where, row in table.rows():
        currency = row["currency"]
        exponent, rate = _number(row["exponent"]), _number(row["rate_e8"])
        if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            table.wrong(where, "a currency of three capital letters (ISO 4217)", repr(currency))
        elif exponent is None or exponent > _MAX_EXPONENT or not rate:
            table.wrong(
                where,
                f"an exponent from 0 to {_MAX_EXPONENT} and a whole rate_e8 above 0",
                f"{row['exponent']!r} and {row['rate_e8']!r}",
            )
        elif currency in rates:
            table.wrong(where, "one line per currency", f"a second line of {currency}")
        else:
            rates[currency] = Rate(exponent, rate)
    table.check()
    base = rates.get(base_currency)
    if base is None or base.rate_e8 != 10**RATE_SCALE_DIGITS:
        raise ConfigurationError(
            f"{table.shown}: expected the base currency {base_currency} with rate_e8 {10**RATE_SCALE_DIGITS} and all "
            f"other rates relative to it, got {'no line for it' if base is None else f'rate_e8 {base.rate_e8}'}"
        )
    return ExchangeRates(base_currency, base.exponent, rates)


def read_merchant_category_groups(path: Path | None = None) -> MerchantCategoryGroups:
    """Read ``first,last,group``, ranges of codes that include both ends; a code in no range has the group ``other``.

    Raises:
        ConfigurationError: the file is not such a table, or two ranges overlap.
    """
    groups = {f"{code:04d}": OTHER_GROUP for code in range(_CODES)}
    taken: set[str] = set()
    table = _Table("merchant_category_groups.csv", path, ("first", "last", "group"))
    for where, row in table.rows():
        first, last = _number(row["first"]), _number(row["last"])
        if first is None or last is None or not first <= last < _CODES or not row["group"]:
            table.wrong(
                where,
                "two four-digit codes in ascending order and the name of a group",
                f"{row['first']!r}, {row['last']!r} and {row['group']!r}",
            )
            continue
        codes = [f"{code:04d}" for code in range(first, last + 1)]
        if not taken.isdisjoint(codes):
            table.wrong(
                where, "one group per code", f"{row['first']} to {row['last']}, which overlaps an earlier range"
            )
        taken.update(codes)
        groups.update(dict.fromkeys(codes, row["group"]))
    table.check()
    return groups


def read_bin_countries(path: Path | None = None) -> BinCountries:
    """Read ``bin,country``.

    Raises:
        ConfigurationError: the file is not such a table.
    """
    countries: dict[str, str] = {}
    table = _Table("bin_countries.csv", path, ("bin", "country"))
    for where, row in table.rows():
        if _number(row["bin"]) is None or len(row["bin"]) not in _BIN_LENGTHS or row["country"] not in COUNTRY_CODES:
            table.wrong(
                where,
                "a BIN of 6 to 8 digits and an ISO 3166-1 country code",
                f"{row['bin']!r} and {row['country']!r}",
            )
        countries[row["bin"]] = row["country"]
    table.check()
    return BinCountries(countries)


class _Table:
    """A CSV file whose mistakes are collected, so that a person sees all of them at once."""

    def __init__(self, name: str, path: Path | None, columns: tuple[str, ...]) -> None:
        self.shown: Final = name if path is None else str(path)
        self._source: Final = files("cardwatch_reference") / "data" / name if path is None else path
        self._columns: Final = columns
        self._mistakes: Final[list[str]] = []

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each complete row and its line; every cell is a stripped string.

        Raises:
            ConfigurationError: the file cannot be read, or has other columns.
        """
        try:
            text = self._source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.shown} cannot be read as UTF-8 text: {error}") from error
        header = ",".join(self._columns)
        reader = csv.DictReader(text.splitlines())
        if tuple(reader.fieldnames or ()) != self._columns:
            found = ",".join(reader.fieldnames or ())
            raise ConfigurationError(f"{self.shown}, line 1: expected the header `{header}`, got `{found}`")
        for row in reader:
            if None in row or None in row.values():
                self.wrong(reader.line_num, f"{len(self._columns)} cells ({header})", "another number of them")
            else:
                yield reader.line_num, {column: row[column].strip() for column in self._columns}

    def wrong(self, line: int, expected: str, found: str) -> None:
        """Remember a mistake for ``check``."""
        self._mistakes.append(f"line {line}: expected {expected}, got {found}")

    def check(self) -> None:
        """Fail if there were mistakes.

        Raises:
            ConfigurationError: there were; names the first of them with their lines.
        """
        if self._mistakes:
            more = len(self._mistakes) - _MAX_MISTAKES_SHOWN
            shown = self._mistakes[:_MAX_MISTAKES_SHOWN] + ([f"and {more} more"] if more > 0 else [])
            raise ConfigurationError(f"{self.shown}, {'; '.join(shown)}")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
