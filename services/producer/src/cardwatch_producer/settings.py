"""The producer's own settings; those of every service are in ``cardwatch_service.settings``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProducerSettings(BaseSettings):
    """Each field is the environment variable ``CARDWATCH_PRODUCER_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_PRODUCER_", extra="ignore", frozen=True)

    linger_ms: Annotated[
        float,
        Field(ge=0, le=900_000, description="how long a message waits for others to fill its batch; milliseconds"),
    ] = 5.0
    queue_messages: Annotated[
        int, Field(ge=1, le=10_000_000, description="messages kept while the broker does not answer, then it waits")
    ] = 100_000
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    startup_timeout_seconds: Annotated[
        float, Field(gt=0, description="how long the broker may take to answer at the start")
    ] = 15.0
