"""A message's trace continues in the silver record or the dead letter that it becomes."""

import io
from typing import Any

import pytest
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import Encoder
from cardwatch_enricher.stream.batch_processor import BatchProcessor, Target, Targets
from cardwatch_enricher.stream.traces import BatchTraces
from cardwatch_kafka.errors import DeliveryError
from cardwatch_service.trace_context import extract_context, is_sampled
from fastavro import schemaless_reader
from support.recorded_spans import RecordingTracer, id_of, parent_id_of, parent_of

TARGETS = Targets(
    silver=Target("silver", Encoder("enriched_transaction", 1)),
    dead_letters=Target("letters", Encoder("dead_letter", 2)),
)
STEP = "00f067aa0ba902b7"
PARENT = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{STEP}-01"
CARRIED = (("other", b"x"), ("traceparent", PARENT.encode()), ("tracestate", b"v=1"))


def processor(
    recorded: RecordingTracer | None, make: Any, pipeline: Any, publisher: Any, metrics: Any
) -> BatchProcessor:
    traces = None if recorded is None else BatchTraces(recorded.tracer, "cardwatch-enricher")
    return BatchProcessor(pipeline, publisher, TARGETS, metrics, traces=traces, stop=make.stop())


def test_silver_and_dead_letters_continue_the_trace(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded, publisher = RecordingTracer(), make.publisher()
    good = make.avro(make.transaction(), headers=CARRIED)
    bad = make.avro(value=b"poison", offset=43, headers=CARRIED)
    processor(recorded, make, pipeline, publisher, metrics)([good, bad])
    silver, letter = publisher.published
    contexts = [extract_context(message.headers) or "" for message in (silver, letter)]
    one, two = recorded.spans()
    assert [parent_id_of(one), parent_id_of(two)] == [STEP, STEP]
    assert [id_of(one), id_of(two)] == [parent_of(context) for context in contexts]
    assert all(context.startswith(PARENT[:35]) and context.endswith(" v=1") for context in contexts)
    assert (one.name, one.kind.name) == ("process transactions.raw.v1", "CONSUMER")
    assert dict(one.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "transactions.raw.v1",
        "messaging.destination.partition.id": "1",
        "messaging.kafka.offset": 42,
        "messaging.consumer.group.name": "cardwatch-enricher",
        "cardwatch.outcome": "enriched",
        "cardwatch.transaction_id": "t-1",
    }
    assert two.attributes["cardwatch.outcome"] == "refused"
    assert two.attributes["cardwatch.reason"] == "not_confluent_framed"
    kept: Any = schemaless_reader(io.BytesIO(letter.value[5:]), parsed_schema("dead_letter"), None)
    assert [(header["name"], header["value"]) for header in kept["headers"]] == list(CARRIED), "as they came"


def test_a_message_without_a_trace_starts_one(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded, publisher = RecordingTracer(), make.publisher()
    malformed = (("traceparent", b"00-4111111111111111"),)
    messages = [make.json(make.document()), make.avro(make.transaction(), headers=malformed)]
    processor(recorded, make, pipeline, publisher, metrics)(messages)
    spans = recorded.spans()
    assert [parent_id_of(span) for span in spans] == [None, None]
    assert [id_of(span) for span in spans] == [
        parent_of(extract_context(message.headers) or "") for message in publisher.published
    ]


def test_spans_contain_no_card_or_amount(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded, publisher = RecordingTracer(), make.publisher()
    record = make.transaction(amount_minor=987_654_321)
    messages = [
        make.json(make.document(amount_minor=987_654_321)),
        make.avro(record, key=record["card_token"].encode()),
        make.avro(make.transaction(merchant_id=make.card_number), offset=9),
        make.avro(value=make.card_number.encode(), key=make.card_number.encode(), offset=10),
    ]
    processor(recorded, make, pipeline, publisher, metrics)(messages)
    spans = recorded.spans()
    assert len(spans) == 4
    told = "".join(span.to_json() for span in spans)
    for secret in ("987654321", "9876543.21", record["card_token"], make.card_number, "1111"):
        assert secret not in told


def test_a_dead_letter_in_place_of_a_silver_record_keeps_the_trace(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded, publisher = RecordingTracer(), make.publisher(largest=400_000)
    processor(recorded, make, pipeline, publisher, metrics)([make.avro(value=b"x" * 900_000, headers=CARRIED)])
    (letter,) = publisher.published
    (span,) = recorded.spans()
    assert parent_of(extract_context(letter.headers) or "") == id_of(span)
    assert span.attributes["cardwatch.outcome"] == "refused"


def test_a_batch_that_cannot_be_published_ends_its_spans_with_an_error(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded = RecordingTracer()
    with pytest.raises(DeliveryError):
        processor(recorded, make, pipeline, make.publisher(largest=10), metrics)(
            [make.avro(value=b"x", headers=CARRIED)]
        )
    (span,) = recorded.spans()
    assert span.attributes["error.type"] == "DeliveryError"
    assert "cardwatch.outcome" not in span.attributes


def test_an_unsampled_trace_stays_unsampled(make: Any, pipeline: Any, metrics: Any) -> None:
    recorded, publisher = RecordingTracer(traces_sampler_arg=1.0), make.publisher()
    unsampled = (("traceparent", (PARENT[:-1] + "0").encode()),)
    processor(recorded, make, pipeline, publisher, metrics)([make.avro(make.transaction(), headers=unsampled)])
    context = extract_context(publisher.published[0].headers)
    assert context is not None
    assert context.startswith(PARENT[:35])
    assert not is_sampled(context)
    assert recorded.spans() == ()


def test_without_a_tracer_no_trace_headers_are_published(make: Any, pipeline: Any, metrics: Any) -> None:
    publisher = make.publisher()
    messages = [make.avro(make.transaction(), headers=CARRIED), make.avro(value=b"poison", headers=CARRIED)]
    processor(None, make, pipeline, publisher, metrics)(messages)
    assert [message.headers for message in publisher.published] == [(), ()]
