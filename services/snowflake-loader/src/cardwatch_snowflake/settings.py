"""The loader's own settings, in addition to those of every service."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SnowflakeSettings(BaseSettings):
    """Where to load to. Each field is the environment variable ``SNOWFLAKE_<FIELD>``, as in Snowflake's own tools."""

    model_config = SettingsConfigDict(env_prefix="SNOWFLAKE_", extra="ignore", frozen=True, populate_by_name=True)

    account: Annotated[str, Field(description="organisation-account; empty: the loader is off")] = ""
    host: Annotated[str, Field(description="only where it is not <account>.snowflakecomputing.com")] = ""
    user: str = ""
    private_key_file: Annotated[Path | None, Field(description="PEM, PKCS#8")] = None
    private_key_passphrase: Annotated[SecretStr, Field(description="empty for a key without one")] = SecretStr("")
    password: Annotated[SecretStr, Field(description="instead of a key")] = SecretStr("")
    role: str = ""
    warehouse: str = ""
    database: str = ""
    # `schema` is a method of pydantic's models.
    schema_name: Annotated[str, Field(validation_alias="SNOWFLAKE_SCHEMA")] = ""


class LoaderSettings(BaseSettings):
    """Each field is the environment variable ``CARDWATCH_LOADER_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="CARDWATCH_LOADER_", extra="ignore", frozen=True, populate_by_name=True
    )

    tables_dir: Annotated[
        str,
        Field(
            validation_alias=AliasChoices("CARDWATCH_LOADER_TABLES_DIR", "CARDWATCH_LAKEHOUSE_TABLES_DIR"),
            description="the directory or URL with bronze, silver and gold in it; the lakehouse's own, unless set",
        ),
    ] = ".cardwatch/tables"
    tables: Annotated[str, Field(description="comma separated; empty for every gold table")] = ""
    poll_seconds: Annotated[float, Field(gt=0, description="pause between two looks at the Delta tables")] = 60.0
    chunk_rows: Annotated[int, Field(ge=1, description="approximate number of rows per load")] = 500_000
    memory: Annotated[
        str, Field(pattern=r"^\d+(MB|GB)$", description="memory for comparing rows; the rest goes to the disk")
    ] = "512MB"
    work_dir: Annotated[Path | None, Field(description="directory for temporary files; empty for the system's")] = None

    def table_names(self) -> list[str]:
        """The tables named; none for all."""
        return [name.strip() for name in self.tables.split(",") if name.strip()]
