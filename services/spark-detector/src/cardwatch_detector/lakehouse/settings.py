"""Settings of the lakehouse, from the environment."""

from typing import Annotated

from cardwatch_lakehouse.locations import for_spark
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_detector.runtime.settings import OFF, Duration, DurationOrOff


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
    profiles: Annotated[bool, Field(description="compute the cards' profiles and publish them to cards.profile.v1")] = (
        True
    )
    profiles_trigger: Annotated[Duration, Field(description="time between looks at the new rows of silver")] = "1m"
    profiles_lateness: Annotated[
        Duration, Field(description="how far the newest event time must be past a day for it to be settled")
    ] = "1h"
    profiles_days_kept: Annotated[int, Field(ge=1, description="days whose profiles are kept")] = 8
    minutes: Annotated[bool, Field(description="make gold.pipeline_minutes")] = True
    minutes_trigger: Annotated[Duration, Field(description="time between looks at the new rows of the tables")] = "1m"
    velocity: Annotated[bool, Field(description="make gold.velocity_5m")] = True
    velocity_trigger: Annotated[Duration, Field(description="time between looks at the windows in progress")] = "1m"
    velocity_late_trigger: Annotated[
        Duration, Field(description="time between looks at all windows, those that late transactions touch among them")
    ] = "10m"
    audit_check_every: Annotated[
        DurationOrOff,
        Field(description="time between checks of the audit trail's hash chain (docs/audit.md), or off"),
    ] = "1h"
    upkeep_every: Annotated[
        DurationOrOff,
        Field(description="time between maintenance of the tables' files (docs/table-maintenance.md), or off"),
    ] = "1h"
    upkeep_keep: Annotated[Duration, Field(description="how far back versions of the tables stay readable")] = "7d"
    retention_bronze: Annotated[DurationOrOff, Field(description="how old rows of bronze may get")] = OFF
    retention_silver: Annotated[DurationOrOff, Field(description="how old rows of silver may get")] = OFF
    retention_gold: Annotated[DurationOrOff, Field(description="how old rows of gold may get")] = OFF
