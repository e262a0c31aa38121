"""How long each retry pauses: the services' own loops that wait for Kafka, a registry, a database or a warehouse.

Where such a loop runs, it takes its pauses from here. Others are chosen elsewhere.

Libraries that may not import this one:

- maintenance whose commit conflicts: ``cardwatch_lakehouse.maintenance.conflict_retry``
- requests to the object store of a lease: ``cardwatch_lakehouse.leases.object_store``; they must end before the lease
- downloads at installation: ``cardwatch_platform.download``

Settings:

- deliveries to receivers: ``cardwatch_notifier.delivery.retry_schedule``

Retries inside a Kafka client, in its configuration (``*.backoff.*``): ``cardwatch_rulebook.kafka_log``,
``cardwatch_notifier.intake.kafka_source`` and ``cardwatch_producer.sink``. The registry's client and delta-rs choose
their own pauses.
"""

from dataclasses import dataclass
from typing import Final

from tenacity import wait_exponential_jitter, wait_random, wait_random_exponential


@dataclass(frozen=True, slots=True)
class DoublingPause:
    """Pauses that double after each failure in a row.

    Attributes:
        first_seconds: the pause after the first failure.
        longest_seconds: the longest pause.
    """

    first_seconds: float
    longest_seconds: float

    def seconds(self, failures: int) -> float:
        """The pause after so many failures in a row, 1 or more."""
        # The exponent is bounded: 2.0**1024 overflows.
        return min(self.first_seconds * 2.0 ** min(failures - 1, 64), self.longest_seconds)


DEPENDENCY: Final = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)
"""A broker, registry or database that does not answer: 0.2, 0.4, 0.8 … 5 seconds, plus up to 0.2 of jitter."""

PUBLISH_SECONDS: Final = 1.0
"""Messages that the broker has not acknowledged are sent again."""

END_OFFSETS_SECONDS: Final = 0.1
"""The end offsets of a topic are asked for again, within the time limit of the caller."""

REGISTRY_SECONDS: Final = 1.0
"""The registry does not answer while rules and lists are followed."""

RULE_CONFLICT: Final = wait_random(0, 0.05)
"""Somebody else changed the same rule at the same time."""

CONSUMER_RESTART: Final = DoublingPause(first_seconds=2.0, longest_seconds=30.0)
"""The enricher's consumer broke and is replaced."""

QUERY_RESTART: Final = DoublingPause(first_seconds=1.0, longest_seconds=30.0)
"""A query of Spark failed and is restarted from its checkpoint."""

TABLE_CONFLICT: Final = wait_random_exponential(multiplier=0.2, max=10)
"""Another writer changed the Delta table: at random up to 0.2, 0.4, 0.8 … 10 seconds."""

MAX_FIRST_LOAD_SECONDS: Final = 1.0
"""The default of ``load_pause``."""


def load_pause(max_first_seconds: float) -> wait_random_exponential:
    """The warehouse failed: at random up to ``max_first_seconds``, then up to twice as long … 30 seconds."""
    return wait_random_exponential(multiplier=max_first_seconds, max=30.0)
