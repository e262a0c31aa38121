"""The fields of ``enriched_transaction.avsc`` that are derived from a transaction and the reference tables."""

from typing import Any, Final, TypeVar

from cardwatch_units.timestamps import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR

from cardwatch_reference.tables import RATE_SCALE_DIGITS, BinCountries, ExchangeRates, MerchantCategoryGroups

_EPOCH_WEEKDAY: Final = 4  # 1970-01-01 was a Thursday; Monday is 1

# One time, or a column of times: anything with // and %.
_Times = TypeVar("_Times")


class Derivation:
    """Derives fields from one set of tables."""

    def __init__(self, rates: ExchangeRates, groups: MerchantCategoryGroups, bins: BinCountries) -> None:
        self._base_currency = rates.base_currency
        self._groups = groups
        self._bins = bins
        # amount · rate · 10^base_exponent / 10^(8 + exponent), rounded half up: (2·n + d) // (2·d), all integers.
        self._factors: dict[str, tuple[int, int]] = {
            currency: (
                2 * rate.rate_e8 * _power_of_ten(rates.base_exponent),
                _power_of_ten(RATE_SCALE_DIGITS + rate.exponent),
            )
            for currency, rate in rates.rates.items()
        }

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """The derived fields of a valid transaction, a record of ``transaction.avsc``."""
        event_time = record["event_time"]
        return {
            "base_currency": self._base_currency,
            "base_amount_minor": self.base_amount_minor(record["amount_minor"], record["currency"]),
            "merchant_category_group": self.merchant_category_group(record["merchant_category_code"]),
            "bin_country": self.bin_country(record["card_bin"]),
            "hour_of_day": hour_of_day(event_time),
            "day_of_week": day_of_week(event_time),
        }

    @property
    def currencies(self) -> frozenset[str]:
        """The ISO 4217 codes that can be converted."""
        return frozenset(self._factors)

    def conversion(self, currency: str) -> tuple[int, int]:
        """The integers a, d with which an amount is (amount · a + d) // (2 · d) in the base currency.

        Raises:
            KeyError: the currency has no rate.
        """
        return self._factors[currency]

    def base_amount_minor(self, amount_minor: int, currency: str) -> int:
        """An amount in minor units of the base currency, exact, rounded half up.

        Raises:
            KeyError: the currency has no rate.
        """
        twice_factor, divisor = self.conversion(currency)
        return (amount_minor * twice_factor + divisor) // (2 * divisor)

    def merchant_category_group(self, code: str) -> str:
        """The group of a four-digit merchant category code.

        Raises:
            KeyError: the code does not have four digits.
        """
        return self._groups[code]

    def bin_country(self, card_bin: str) -> str | None:
        """The country of the issuer, None where the table does not know the BIN."""
        return self._bins.of(card_bin)


def hour_of_day(event_time_us: _Times) -> _Times:
    """The hour, UTC, 0 to 23, of microseconds since 1970 UTC."""
    times: Any = event_time_us
    hours: _Times = times // MICROSECONDS_PER_HOUR % 24
    return hours


def day_of_week(event_time_us: _Times) -> _Times:
    """The ISO 8601 weekday, UTC, 1 = Monday to 7 = Sunday, of microseconds since 1970 UTC."""
    times: Any = event_time_us
    days: _Times = (times // MICROSECONDS_PER_DAY + _EPOCH_WEEKDAY - 1) % 7 + 1
    return days


def _power_of_ten(exponent: int) -> int:
    return int(10**exponent)
