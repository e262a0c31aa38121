"""Directories of the platform and where it downloads from: environment variables ``CARDWATCH_*``."""

from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PlatformSettings(BaseSettings):
    """Each field is the environment variable ``CARDWATCH_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_", env_ignore_empty=True, extra="ignore", frozen=True)

    home: Annotated[Path, Field(description="data, logs and state of one platform")] = Path(".cardwatch")
    cache_dir: Annotated[Path, Field(description="downloaded artifacts, shared by all platforms of a user")] = Field(
        default_factory=lambda: Path(platformdirs.user_cache_dir("cardwatch"))
    )
    maven_repository: Annotated[str, Field(description="root of a mirror; empty for Maven Central")] = ""
    java_trust_store: Annotated[
        Path | None, Field(description="Java trust store for the download; by default the system's, where it has one")
    ] = None
