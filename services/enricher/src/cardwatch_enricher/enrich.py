"""Enriching a valid transaction: what the rules want to know and its producer does not."""

from typing import Final

from cardwatch_contracts.wire import Record

from cardwatch_enricher.message import RawMessage
from cardwatch_enricher.tables import RATE_SCALE_DIGITS, BinCountries, ExchangeRates, MerchantCategoryGroups

_HOUR_MICROS: Final = 3_600_000_000
_DAY_MICROS: Final = 24 * _HOUR_MICROS
_EPOCH_WEEKDAY: Final = 4  # 1970-01-01 was a Thursday; Monday is 1


class Enricher:
    """Adds the fields of ``enriched_transaction.avsc``."""

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

    def __call__(self, record: Record, source: RawMessage, received_at: int, now: int) -> Record:
        """The silver record of a valid raw one.

        Args:
            record: of ``transaction.avsc``, validated.
            source: the message that it came in.
            received_at: when the broker appended that message, microseconds since epoch UTC.
            now: the time of enriching, microseconds since epoch UTC.
        """
        event_time = record["event_time"]
        return {
            **record,
            "base_currency": self._base_currency,
            "base_amount_minor": self.base_amount_minor(record["amount_minor"], record["currency"]),
            "merchant_category_group": self._groups[record["merchant_category_code"]],
            "bin_country": self._bins.of(record["card_bin"]),
            "hour_of_day": event_time // _HOUR_MICROS % 24,
            "day_of_week": (event_time // _DAY_MICROS + _EPOCH_WEEKDAY - 1) % 7 + 1,
            "raw_topic": source.topic,
            "raw_partition": source.partition,
            "raw_offset": source.offset,
            "raw_broker_time": received_at,
            "enriched_at": now,
        }

    def base_amount_minor(self, amount_minor: int, currency: str) -> int:
        """An amount in minor units of the base currency, exact, rounded half up.

        Raises:
            KeyError: the currency has no rate.
        """
        twice_factor, divisor = self._factors[currency]
        return (amount_minor * twice_factor + divisor) // (2 * divisor)


def _power_of_ten(exponent: int) -> int:
    return int(10**exponent)
