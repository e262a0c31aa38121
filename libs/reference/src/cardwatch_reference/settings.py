"""Which reference tables are used: the same settings for the enricher and for a backtest of a file."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_reference.derived import Derivation
from cardwatch_reference.tables import read_bin_countries, read_exchange_rates, read_merchant_category_groups


class ReferenceSettings(BaseSettings):
    """``CARDWATCH_ENRICHER_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_ENRICHER_", extra="ignore", frozen=True)

    base_currency: Annotated[str, Field(description="ISO 4217 code of base_amount_minor")] = "EUR"
    exchange_rates: Annotated[Path | None, Field(description="CSV currency,exponent,rate_e8")] = None
    merchant_category_groups: Annotated[Path | None, Field(description="CSV first,last,group")] = None
    bin_countries: Annotated[Path | None, Field(description="CSV bin,country")] = None

    def derivation(self) -> Derivation:
        """Read the tables.

        Raises:
            ConfigurationError: one of them is wrong.
        """
        return Derivation(
            read_exchange_rates(self.base_currency, self.exchange_rates),
            read_merchant_category_groups(self.merchant_category_groups),
            read_bin_countries(self.bin_countries),
        )
