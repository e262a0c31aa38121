"""A batch is done only when the broker has acknowledged the outcome of each message."""

from collections.abc import Sequence
from typing import Any

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Encoder
from cardwatch_enricher.stream.batch_processor import BatchProcessor, Target, Targets
from cardwatch_enricher.stream.offset_commit import ProcessedOffsets
from cardwatch_enricher.stream.restarts import GracePeriod
from cardwatch_kafka.errors import DeliveryError, StoppedError
from cardwatch_kafka.messages import OutgoingMessage, TopicPartition
from cardwatch_service.shutdown import Shutdown
from fastavro import schemaless_reader

TARGETS = Targets(
    silver=Target("silver", Encoder("enriched_transaction", 1)),
    dead_letters=Target("letters", Encoder("dead_letter", 2)),
)


def decoded(message: OutgoingMessage) -> dict[str, Any]:
    import io

    name = "enriched_transaction" if message.topic == "silver" else "dead_letter"
    record: dict[str, Any] = schemaless_reader(io.BytesIO((message.value or b"")[5:]), parsed_schema(name), None)  # type: ignore[assignment]
    return record


def processor(make: Any, pipeline: Any, publisher: Any, metrics: Any, stopped: bool = False) -> BatchProcessor:
    return BatchProcessor(pipeline, publisher, TARGETS, metrics, stop=make.stop(stopped))


def test_each_message_goes_either_to_silver_or_to_the_dead_letters(make: Any, pipeline: Any, metrics: Any) -> None:
    publisher = make.publisher()
    good = make.avro(make.transaction())
    bad = make.avro(value=b"poison", offset=43)
    also_good = make.json(make.document())
    processor(make, pipeline, publisher, metrics)([good, bad, also_good])
    assert [message.topic for message in publisher.published] == ["silver", "letters", "silver"]
    assert publisher.published[1].key == b"k"
    assert decoded(publisher.published[1])["value"] == b"poison"
    sample = metrics.registry.get_sample_value
    assert sample("cardwatch_messages_consumed_total", {"topic": "transactions.raw.v1"}) == 2
    assert sample("cardwatch_messages_published_total", {"topic": "silver"}) == 2
    assert sample("cardwatch_messages_published_total", {"topic": "letters"}) == 1
    assert sample("cardwatch_messages_refused_total", {"reason": "not_confluent_framed"}) == 1
    labels = {"start": "raw_broker_time", "end": "silver_published"}
    assert sample("cardwatch_latency_seconds_count", labels) == 2


def test_a_silver_record_that_the_broker_rejects_becomes_a_dead_letter(make: Any, pipeline: Any, metrics: Any) -> None:
    class NoSilver:
        def __init__(self) -> None:
            self.published: list[OutgoingMessage] = []

        def publish(self, batch: Sequence[OutgoingMessage]) -> list[int]:
            self.published += [message for message in batch if message.topic != "silver"]
            return [index for index, message in enumerate(batch) if message.topic == "silver"]

    publisher = NoSilver()
    processor(make, pipeline, publisher, metrics)([make.avro(make.transaction())])
    (letter,) = publisher.published
    assert decoded(letter)["reason"] == "internal_error"
    assert metrics.registry.get_sample_value("cardwatch_messages_published_total", {"topic": "silver"}) == 0


def test_a_dead_letter_that_is_too_large_is_shortened(make: Any, pipeline: Any, metrics: Any) -> None:
    publisher = make.publisher(largest=400_000)
    processor(make, pipeline, publisher, metrics)([make.avro(value=b"x" * 900_000)])
    (letter,) = publisher.published
    assert decoded(letter)["value"] == b"x" * 256 * 1024
    assert "too large" in decoded(letter)["detail"]


def test_a_broker_that_rejects_the_shortened_dead_letter_stops_the_service(
    make: Any, pipeline: Any, metrics: Any
) -> None:
    with pytest.raises(DeliveryError):
        processor(make, pipeline, make.publisher(largest=10), metrics)([make.avro(value=b"x")])


def test_a_batch_waits_for_the_registry(make: Any, fresh_pipeline: Any, registry: Any, metrics: Any) -> None:
    registry.failures += [RegistryUnavailableError("away"), OSError("reset"), RegistryUnavailableError("away")]
    publisher = make.publisher()
    processor(make, fresh_pipeline, publisher, metrics)([make.avro(make.transaction())])
    assert [message.topic for message in publisher.published] == ["silver"]
    assert metrics.registry.get_sample_value("cardwatch_errors_total", {"kind": "registry_unavailable"}) == 3


def test_a_stop_ends_the_wait_for_the_registry(make: Any, fresh_pipeline: Any, registry: Any, metrics: Any) -> None:
    registry.failures += [RegistryUnavailableError("away")] * 3
    publisher = make.publisher()
    with pytest.raises(StoppedError):
        processor(make, fresh_pipeline, publisher, metrics, stopped=True)([make.avro(make.transaction())])
    assert publisher.published == []


def test_offsets_advance_only_over_what_was_processed(make: Any) -> None:
    offsets, place = ProcessedOffsets(), TopicPartition("transactions.raw.v1", 1)
    offsets.start(place, 40)
    assert offsets.to_commit() == {}
    offsets.advance([make.avro(offset=40), make.avro(offset=41)])
    assert offsets.to_commit() == {place: 42} == offsets.all()
    offsets.committed({place: 42})
    assert offsets.to_commit() == {}


def test_offsets_of_a_partition_that_was_taken_away_are_forgotten(make: Any) -> None:
    offsets, place = ProcessedOffsets(), TopicPartition("transactions.raw.v1", 1)
    offsets.advance([make.avro(offset=40)])
    assert offsets.keep_only([TopicPartition("transactions.raw.v1", 0)]) == [place]
    assert offsets.all() == {}
    offsets.start(place, 7)
    assert offsets.all() == {place: 7}


def test_giving_up_comes_after_the_grace_period() -> None:
    now = [100.0]
    shutdown = Shutdown()
    grace_period = GracePeriod(shutdown, 10, clock=lambda: now[0])
    assert not grace_period.requested
    shutdown.request()
    assert not grace_period.requested
    now[0] = 109.9
    assert not grace_period.requested
    now[0] = 110.0
    assert grace_period.requested
