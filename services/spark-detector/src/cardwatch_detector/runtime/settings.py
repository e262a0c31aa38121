"""Settings of Spark, from the environment, and the types of settings."""

from pathlib import Path
from typing import Annotated, Final, Literal

from cardwatch_units.durations import parse_duration
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]

OFF: Final = "off"


def _duration_or_off(text: str) -> str:
    return text if text == OFF else _duration(text)


DurationOrOff = Annotated[str, AfterValidator(_duration_or_off)]


class SparkSettings(BaseSettings):
    """How Spark runs: ``CARDWATCH_SPARK_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_SPARK_", extra="ignore", frozen=True)

    master: Annotated[str, Field(description="empty leaves it to spark-submit")] = "local[2]"
    java_home: Annotated[str, Field(description="JDK 17 or 21; empty leaves JAVA_HOME as it is")] = ""
    classpath: Annotated[str, Field(description="Kafka, Avro and Delta jars; empty when they are in the image")] = ""
    driver_memory: str = "1g"
    conf_file: Annotated[
        Path | None, Field(description="further Spark settings, in the format of spark-defaults.conf; they win")
    ] = None
    log_level: Literal["ERROR", "WARN", "INFO"] = "ERROR"
