"""The notifier's own settings, beside those that every service has."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class NotifierSettings(BaseSettings):
    """Each field is the environment variable ``CARDWATCH_NOTIFIER_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_NOTIFIER_", extra="ignore", frozen=True)

    outbox_path: Annotated[Path, Field(description="SQLite file, on a local disk; unless there is an outbox_url")] = (
        Path(".cardwatch/notifier/outbox.db")
    )
    outbox_url: Annotated[
        str, Field(description="postgresql://user@host:5432/database, shared by replicas; empty for SQLite")
    ] = ""
    outbox_password: Annotated[SecretStr, Field(description="password of the outbox's role")] = SecretStr("")
    outbox_password_file: Annotated[
        Path | None, Field(description="file that holds it instead, read at every connection")
    ] = None
    outbox_lease_seconds: Annotated[
        float, Field(ge=1, le=3600, description="after so long a replica's deliveries go to another if it is gone")
    ] = 30.0
    retention_days: Annotated[float, Field(gt=0, description="delivered messages are removed after so long")] = 30.0

    stdout: Annotated[bool, Field(description="write a line an alert to standard output")] = True
    webhook_url: Annotated[str, Field(description="http(s) URL that alerts are posted to; empty for none")] = ""
    webhook_secret: Annotated[SecretStr, Field(description="whsec_ and 24 to 64 bytes in base64")] = SecretStr("")
    webhook_timeout_seconds: Annotated[float, Field(gt=0, le=300, description="for one attempt")] = 10.0
    webhook_concurrency: Annotated[int, Field(ge=1, le=64, description="posts at the same time")] = 4

    retry_first_seconds: Annotated[float, Field(gt=0, description="pause after a first failure; then doubled")] = 0.5
    retry_longest_seconds: Annotated[float, Field(gt=0, description="longest pause after failures")] = 300.0
    # 900 pauses of at most 5 minutes: about three days.
    retry_attempts: Annotated[int, Field(ge=1, description="so many failures, and a delivery is parked")] = 900
    rejected_first_seconds: Annotated[float, Field(gt=0, description="pause after a first refusal (4xx)")] = 60.0
    rejected_longest_seconds: Annotated[float, Field(gt=0, description="longest pause after refusals")] = 3600.0
    rejected_attempts: Annotated[int, Field(ge=1, description="so many refusals, and a delivery is parked")] = 8
