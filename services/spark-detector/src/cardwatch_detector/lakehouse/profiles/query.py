"""The streaming query that makes profiles of what is new in silver."""

from collections.abc import Callable
from typing import Final

from cardwatch_lakehouse.tables import GOLD_CARD_PROFILE, SILVER_TRANSACTIONS
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.profiles.refresh import ProfileMetrics, ProfileWriter
from cardwatch_detector.lakehouse.profiles.topic import ProfileTopic
from cardwatch_detector.lakehouse.query import LakehouseQuery, follow
from cardwatch_detector.lakehouse.settings import LakehouseSettings

# All that is new is one micro-batch, however much it is: three columns of it are read, and each day is made once.
_ALL: Final = {"maxFilesPerTrigger": "1000000"}


def profile_query(
    service: ServiceSettings,
    settings: LakehouseSettings,
    metrics: ProfileMetrics,
    days_written: Callable[[int], None],
    profiles_written: Callable[[int], None],
) -> LakehouseQuery:
    """The query. Its start fails while the schema of profiles is not registered, or the registry does not answer.

    Args:
        days_written, profiles_written: called with the number of rows after each commit.
    """

    def source(session: SparkSession) -> DataFrame:
        silver = follow(session, SILVER_TRANSACTIONS, settings.tables_dir, **_ALL)
        return silver.select("event_date", "event_time", "card_token")

    def writer() -> ProfileWriter:
        return ProfileWriter(
            settings.tables_dir,
            parse_duration(settings.profiles_lateness),
            settings.profiles_days_kept,
            ProfileTopic.of(service),
            metrics,
            days_written,
            profiles_written,
        )

    return LakehouseQuery(GOLD_CARD_PROFILE.name, settings.checkpoint_dir, settings.profiles_trigger, source, writer)
