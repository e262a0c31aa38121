"""What the detector checks before Spark starts."""

from cardwatch_contracts.topics import (
    ALERTS,
    CARD_PROFILES,
    REPLAYED_TOPICS,
    TRANSACTIONS_LATE,
    TRANSACTIONS_SILVER,
)
from cardwatch_kafka.topic_check import check_topics_at_start
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND

from cardwatch_detector.velocity.settings import VelocitySettings


def check_topics(service: ServiceSettings, settings: VelocitySettings, shutdown: Shutdown) -> None:
    """Check the settings of all topics that the detector reads and writes; waits for a broker that does not answer.

    Raises:
        ConfigurationError: a topic has settings with which results would be wrong.
        StoppedError: the service was asked to stop while waiting.
    """
    topics = [TRANSACTIONS_SILVER, TRANSACTIONS_LATE, ALERTS]
    if settings.rules is None:
        topics += REPLAYED_TOPICS
    if settings.profiles:
        topics.append(CARD_PROFILES)
    needed_ms = {TRANSACTIONS_SILVER.base_name: settings.kept_back_us // MICROSECONDS_PER_MILLISECOND}
    check_topics_at_start(service, topics, shutdown, needed_ms)
