"""The streaming query that keeps the cards' profiles up to date with silver."""

from typing import Final

from cardwatch_lakehouse.tables import GOLD_CARD_PROFILE, SILVER_TRANSACTIONS
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration
from pyspark.sql import DataFrame, SparkSession

from cardwatch_detector.lakehouse.metrics import ProfileMetrics, WriteCounter
from cardwatch_detector.lakehouse.profiles.refresh import ProfileSchedule, ProfileWriter
from cardwatch_detector.lakehouse.profiles.topic import ProfileTopic
from cardwatch_detector.lakehouse.query import LakehouseQuery, Schedule, follow_table
from cardwatch_detector.lakehouse.settings import LakehouseSettings

# All new rows are one micro-batch, however many they are: three columns of it are read, and each day is computed once.
_UNLIMITED: Final = {"maxFilesPerTrigger": "1000000"}


def profile_query(
    service: ServiceSettings, settings: LakehouseSettings, metrics: ProfileMetrics, counter: WriteCounter
) -> LakehouseQuery:
    """The query. Its start fails while the schema of profiles is not registered, or the registry does not answer."""
    schedule = ProfileSchedule(parse_duration(settings.profiles_lateness), settings.profiles_days_kept)

    def source(session: SparkSession) -> DataFrame:
        silver = follow_table(session, SILVER_TRANSACTIONS, settings.tables_dir, **_UNLIMITED)
        return silver.select("event_date", "event_time", "card_token", "other_card_token")

    def make_writer() -> ProfileWriter:
        return ProfileWriter(settings.tables_dir, schedule, ProfileTopic.of(service), metrics, counter)

    return LakehouseQuery(
        name=GOLD_CARD_PROFILE.name,
        checkpoint_dir=settings.checkpoint_dir,
        schedule=Schedule(settings.profiles_trigger),
        source=source,
        make_writer=make_writer,
    )
