"""The streaming query that makes profiles of what is new in silver."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cardwatch_lakehouse.tables import GOLD_CARD_PROFILE, SILVER_TRANSACTIONS
from cardwatch_rules.parse import parse_duration
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.lakehouse.profile_refresh import ProfileMetrics, ProfileWriter
from cardwatch_detector.lakehouse.profile_topic import ProfileTopic
from cardwatch_detector.settings import LakehouseSettings

# All that is new is one micro-batch, however much it is: three columns of it are read, and each day is made once.
_FILES_A_BATCH = 1_000_000


@dataclass(frozen=True)
class ProfileQuery:
    """Follows the versions of silver; where there is no new one, a trigger starts no Spark job.

    Attributes:
        days_written, profiles_written: called with the number of rows after each commit.
    """

    service: ServiceSettings
    settings: LakehouseSettings
    metrics: ProfileMetrics
    days_written: Callable[[int], None]
    profiles_written: Callable[[int], None]

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path."""
        return GOLD_CARD_PROFILE.name

    @property
    def topics(self) -> Sequence[str]:
        """None: it reads a table."""
        return ()

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint.

        Raises:
            IncompatibleSchemaError: the schema of profiles is not registered.
            RegistryUnavailableError: the registry does not answer.
        """
        settings = self.settings
        write = ProfileWriter(
            settings.tables_dir,
            parse_duration(settings.profiles_lateness),
            settings.profiles_days_kept,
            ProfileTopic.of(self.service),
            self.metrics,
            self.days_written,
            self.profiles_written,
        )
        return (
            session.readStream.format("delta")
            .option("maxFilesPerTrigger", _FILES_A_BATCH)
            # Silver only grows by itself; who deletes rows there must not stop the query for ever.
            .option("skipChangeCommits", "true")
            .load(SILVER_TRANSACTIONS.path(settings.tables_dir))
            .select("event_date", "event_time", "card_token")
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{settings.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(settings.profiles_trigger)} microseconds")
            .foreachBatch(write)
            .start()
        )

    def failed(self, reason: str) -> None:
        """Nothing to learn: the next start begins with the same micro-batch."""

    def outdated(self) -> bool:
        """Never: what it does does not change while it runs."""
        return False
