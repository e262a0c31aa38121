"""Settings of the detector's two modules, from the environment."""

from pathlib import Path
from typing import Annotated, Final, Literal

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.locations import for_spark
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.parse import parse_duration
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def _scopes(text: str) -> str:
    unknown = [scope for scope in text.split(",") if scope.strip() not in SCOPE_KEYS]
    if unknown:
        raise ValueError(f"unknown scope {unknown[0]!r}; known are {', '.join(SCOPE_KEYS)}")
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


class VelocitySettings(BaseSettings):
    """The velocity queries: ``CARDWATCH_DETECTOR_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_DETECTOR_", extra="ignore", frozen=True)

    rules: Annotated[
        Path | None, Field(description="a rule file (YAML) that never changes, instead of the rules of rules.v1")
    ] = None
    name: Annotated[str, Field(description="under which `cardwatch rules list` shows this detector")] = "detector"
    rule_budget_seconds: Annotated[
        float, Field(gt=0, description="what one rule may take of a micro-batch before it is set aside")
    ] = 1.0
    scopes: Annotated[str, AfterValidator(_scopes), NoDecode, Field(description="comma separated")] = "card,merchant"
    lateness: Annotated[Duration, Field(description="how far behind the newest event a transaction may come")] = "1h"
    horizon_card: Annotated[Duration, Field(description="how far back a card's windows can reach")] = "30h"
    horizon_merchant: Annotated[Duration, Field(description="how far back a merchant's windows can reach")] = "1h"
    horizon_device: Annotated[Duration, Field(description="how far back a device's windows can reach")] = "1h"
    horizon_ip: Annotated[Duration, Field(description="how far back an address's windows can reach")] = "1h"
    horizon_bin: Annotated[Duration, Field(description="how far back a BIN's windows can reach")] = "1h"
    profiles: Annotated[bool, Field(description="keep the profiles of cards (cards.profile.v1) beside them")] = True
    checkpoint_dir: Annotated[str, Field(description="any Hadoop file system")] = ".cardwatch/checkpoints/velocity"
    partitions: Annotated[int, Field(ge=1, description="of the state; fixed by the checkpoint: choose for peak")] = 2
    max_offsets_per_trigger: Annotated[
        int | None,
        Field(ge=1, description="transactions in a micro-batch at most; 50,000 for latency, 250,000 for throughput"),
    ] = None
    trigger_seconds: Annotated[
        float, Field(ge=0, description="between starts of micro-batches; 0 is one after the other")
    ] = 0.5
    tuned_for: Annotated[
        Literal["latency", "throughput"],
        Field(description="latency interprets small batches, throughput compiles large ones"),
    ] = "latency"
    state_cache_mb: Annotated[
        int, Field(ge=8, description="memory for state read from disk, MB a partition, outside Java's heap")
    ] = 128
    warm_up: Annotated[bool, Field(description="run on made-up transactions before calling itself ready")] = True
    evidence_limit: Annotated[int, Field(ge=1, description="transaction ids in an alert at most")] = 500

    @property
    def transactions_a_batch(self) -> int:
        """How many transactions a micro-batch takes at most.

        What it costs to touch a card does not depend on how many of its transactions a micro-batch brings.
        """
        return self.max_offsets_per_trigger or (50_000 if self.tuned_for == "latency" else 250_000)

    def horizon_us(self, scope: str) -> int:
        """How far back the windows of a scope can reach, microseconds."""
        return parse_duration(str(getattr(self, f"horizon_{scope}")))

    def scope_list(self) -> list[str]:
        """The scopes that this process runs, which share one query."""
        return [scope.strip() for scope in self.scopes.split(",")]


class LakehouseSettings(BaseSettings):
    """The lakehouse queries: ``CARDWATCH_LAKEHOUSE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_LAKEHOUSE_", extra="ignore", frozen=True)

    tables_dir: Annotated[
        str,
        AfterValidator(for_spark),
        Field(description="where the Delta tables are; any Hadoop file system", validate_default=True),
    ] = ".cardwatch/tables"
    checkpoint_dir: str = ".cardwatch/checkpoints/lakehouse"
    trigger: Annotated[str, Field(description="time between micro-batches")] = "10s"
    max_offsets_per_trigger: Annotated[int, Field(ge=1)] = 200_000
    duplicates_within: Annotated[
        Duration, Field(description="how far apart the event times of messages about one transaction may be")
    ] = "1h"
    profiles: Annotated[bool, Field(description="make the cards' profiles, publish them to cards.profile.v1")] = True
    profiles_trigger: Annotated[Duration, Field(description="time between looks at what is new in silver")] = "1m"
    profiles_lateness: Annotated[
        Duration, Field(description="how far the newest event time must be past a day for it to be settled")
    ] = "1h"
    profiles_days_kept: Annotated[int, Field(ge=1, description="days whose profiles are kept")] = 8
    minutes: Annotated[bool, Field(description="make gold.pipeline_minutes")] = True
    minutes_trigger: Annotated[Duration, Field(description="time between looks at what is new in the tables")] = "1m"
    velocity: Annotated[bool, Field(description="make gold.velocity_5m")] = True
    velocity_trigger: Annotated[Duration, Field(description="time between looks at the windows in progress")] = "1m"
    velocity_late_trigger: Annotated[
        Duration, Field(description="time between looks at all windows, those that late transactions touch among them")
    ] = "10m"
    upkeep_every: Annotated[
        DurationOrOff, Field(description="time between upkeep of the tables' files (docs/table-maintenance.md), or off")
    ] = "1h"
    upkeep_keep: Annotated[Duration, Field(description="how far back versions of the tables stay readable")] = "7d"
    retention_bronze: Annotated[DurationOrOff, Field(description="how old rows of bronze may get")] = OFF
    retention_silver: Annotated[DurationOrOff, Field(description="how old rows of silver may get")] = OFF
    retention_gold: Annotated[DurationOrOff, Field(description="how old rows of gold may get")] = OFF
