"""The enricher's own settings: each field is the environment variable ``CARDWATCH_ENRICHER_<FIELD>``."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EnricherSettings(BaseSettings):
    """What only the enricher needs to know; the broker, the registry and the rest are in ServiceSettings."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_ENRICHER_", extra="ignore", frozen=True)

    base_currency: Annotated[str, Field(description="ISO 4217 code of base_amount_minor")] = "EUR"
    exchange_rates: Annotated[Path | None, Field(description="CSV currency,exponent,rate_e8")] = None
    merchant_category_groups: Annotated[Path | None, Field(description="CSV first,last,group")] = None
    bin_countries: Annotated[Path | None, Field(description="CSV bin,country")] = None
    future_tolerance_seconds: Annotated[
        float, Field(ge=0, description="how far event_time may lie after the broker's time of the message")
    ] = 60.0
    batch_size: Annotated[int, Field(ge=1, le=100_000, description="messages published together at most")] = 1000
    batch_wait_seconds: Annotated[
        float, Field(gt=0, le=10, description="how long a batch that is not full waits; adds to latency")
    ] = 0.02
    fetch_wait_seconds: Annotated[
        float, Field(gt=0, le=10, description="how long the broker holds a fetch that finds little; adds to latency")
    ] = 0.1
    commit_interval_seconds: Annotated[
        float, Field(gt=0, le=60, description="time between offset commits: what a crash repeats at most")
    ] = 0.5
    session_timeout_seconds: Annotated[
        float, Field(ge=1, le=40, description="after which the group takes a silent member's partitions away")
    ] = 6.0
    instance_id: Annotated[
        str,
        Field(
            description="a name unique to this replica and the same after a restart (a StatefulSet's pod name): "
            "with it a killed replica gets its partitions back at once, without it after session_timeout_seconds"
        ),
    ] = ""
    delivery_timeout_seconds: Annotated[
        float, Field(ge=1, le=3600, description="after which an unanswered publication is repeated")
    ] = 60.0
    stop_grace_seconds: Annotated[
        float, Field(ge=0, le=600, description="how long a stop waits for the batch in hand")
    ] = 10.0
