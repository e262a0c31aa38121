"""Where traces begin: with the message that the producer sends."""

from typing import Any

from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW, Topic
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_producer.settings import ProducerSettings
from cardwatch_producer.sink import KafkaSink
from cardwatch_service.metrics import Metrics
from cardwatch_service.trace_context import extract_context, is_sampled
from cardwatch_service.tracing import Tracer
from support.recorded_spans import RecordingTracer, id_of, parent_of


class Sent:
    """A message that the broker has accepted or rejected."""

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return 41


class Refusal:
    def name(self) -> str:
        return "MSG_SIZE_TOO_LARGE"

    def str(self) -> str:
        return "too large"


class FakeProducer:
    """A client that keeps messages until the test gives the broker's answer."""

    def __init__(self, config: Any, **_: Any) -> None:
        self.given: list[dict[str, Any]] = []

    def produce(self, topic: str, value: bytes | None, key: bytes, partition: int, **options: Any) -> None:
        self.given.append({"topic": topic, **options})

    def poll(self, seconds: float) -> None:
        """The test triggers the delivery reports."""


def made(tracer: Tracer | None) -> tuple[KafkaSink, list[dict[str, Any]]]:
    clients: list[FakeProducer] = []

    def make_client(config: Any, **_: Any) -> FakeProducer:
        clients.append(FakeProducer(config))
        return clients[-1]

    sink = KafkaSink({}, ProducerSettings(), Metrics(), topic_prefix="p.", tracer=tracer, make_client=make_client)
    return sink, clients[0].given


def message(topic: Topic, *headers: tuple[str, bytes]) -> OutgoingMessage:
    return OutgoingMessage(topic.name("p."), b"k", b"v", headers)


def test_a_message_carries_its_trace_context_in_addition_to_its_headers() -> None:
    recorded = RecordingTracer()
    out, given = made(recorded.tracer)
    out.send(message(TRANSACTIONS_RAW, ("simulated-transaction-id", b"t-1")))
    out.send(message(TRANSACTIONS_JSON))
    assert [name for name, _ in given[0]["headers"]] == ["simulated-transaction-id", "traceparent"]
    contexts = [extract_context(sent["headers"]) or "" for sent in given]
    given[0]["on_delivery"](None, Sent())
    given[1]["on_delivery"](Refusal(), Sent())
    first, second = recorded.spans()
    assert [span.name for span in (first, second)] == ["send p.transactions.raw.v1", "send p.transactions.json.v1"]
    assert [id_of(first), id_of(second)] == [parent_of(context) for context in contexts]
    assert first.context.trace_id != second.context.trace_id, "a transaction, a trace"
    assert first.attributes["messaging.destination.partition.id"] == "2"
    assert first.attributes["messaging.kafka.offset"] == 41
    assert second.attributes["error.type"] == "MSG_SIZE_TOO_LARGE"
    assert (out.acknowledged, out.failed) == ({"p.transactions.raw.v1": 1, "p.transactions.json.v1": 0}, 1)


def test_a_label_carries_no_trace_context() -> None:
    recorded = RecordingTracer()
    out, given = made(recorded.tracer)
    out.send(message(TRANSACTIONS_LABELS))
    assert given[0]["headers"] is None
    given[0]["on_delivery"](None, Sent())
    assert recorded.spans() == ()


def test_an_unsampled_message_carries_the_sampling_decision() -> None:
    recorded = RecordingTracer(traces_sampler_arg=0.0)
    out, given = made(recorded.tracer)
    out.send(message(TRANSACTIONS_RAW))
    context = extract_context(given[0]["headers"])
    assert context is not None
    assert not is_sampled(context), "otherwise the enricher would sample again"
    given[0]["on_delivery"](None, Sent())
    assert recorded.spans() == ()


def test_without_a_tracer_a_message_has_no_trace_headers() -> None:
    out, given = made(None)
    out.send(message(TRANSACTIONS_RAW))
    out.send(message(TRANSACTIONS_RAW, ("simulated-transaction-id", b"t-1")))
    assert given[0]["headers"] is None
    assert given[1]["headers"] == [("simulated-transaction-id", b"t-1")]
