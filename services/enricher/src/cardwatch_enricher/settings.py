"""The enricher's own settings: each field is the environment variable ``CARDWATCH_ENRICHER_<FIELD>``."""

from typing import Annotated, Any

from cardwatch_reference.settings import ReferenceSettings
from pydantic import Field


class EnricherSettings(ReferenceSettings):
    """What the enricher needs to know; the broker, the registry and the rest are in ServiceSettings."""

    future_tolerance_seconds: Annotated[
        float, Field(ge=0, description="how far event_time may lie after the broker's time of the message")
    ] = 60.0
    batch_size: Annotated[int, Field(ge=1, le=100_000, description="messages published together at most")] = 1000
    batch_wait_seconds: Annotated[
        float, Field(gt=0, le=10, description="how long a batch that is not full waits; adds to latency")
    ] = 0.02
    buffer_mb: Annotated[
        int, Field(ge=1, le=4096, description="no more messages are fetched while so many MB wait or are processed")
    ] = 16
    fetch_wait_seconds: Annotated[
        float, Field(gt=0, le=10, description="how long the broker waits for more messages; adds to latency")
    ] = 0.1
    commit_interval_seconds: Annotated[
        float, Field(gt=0, le=60, description="time between offset commits: what a crash repeats at most")
    ] = 0.5
    session_timeout_seconds: Annotated[
        float, Field(ge=1, le=40, description="after which the group takes a silent member's partitions away")
    ] = 6.0
    instance_id: Annotated[
        str,
        Field(
            description="a name unique to this replica and the same after a restart (a StatefulSet's pod name): "
            "with it a killed replica gets its partitions back at once, without it after session_timeout_seconds"
        ),
    ] = ""
    delivery_timeout_seconds: Annotated[
        float, Field(ge=1, le=3600, description="after which an unanswered publication is repeated")
    ] = 60.0
    stop_grace_seconds: Annotated[
        float, Field(ge=0, le=600, description="how long a stop waits for the current batch")
    ] = 10.0

    def producer_options(self) -> dict[str, Any]:
        """Settings of librdkafka for publishing."""
        return {
            "client.id": "cardwatch-enricher",
            "compression.type": "lz4",
            "linger.ms": 2,
            "delivery.timeout.ms": round(self.delivery_timeout_seconds * 1000),
            "queue.buffering.max.messages": 200_000,
        }
