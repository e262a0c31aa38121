"""An alert's trace is kept with its message, and each attempt to deliver it is a span."""

import base64
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cardwatch_kafka.group_consumer import ConsumedMessage
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Rejected, TryAgain
from cardwatch_notifier.delivery.standard_output import StandardOutput
from cardwatch_notifier.delivery.traced_receiver import TracedReceiver
from cardwatch_notifier.delivery.webhook_client import Network
from cardwatch_notifier.delivery.webhook_sender import WebhookSender
from cardwatch_notifier.intake.decoding import AlertDecoder
from cardwatch_notifier.intake.intake import Intake, OutboxWriter
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Message
from cardwatch_notifier.outbox.sqlite.sqlite_outbox import SqliteOutbox
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from support.recorded_spans import RecordingTracer, id_of, parent_id_of, parent_of

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
STEP = "00f067aa0ba902b7"
PARENT = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{STEP}-01"
MESSAGE = Message(1, "a-2", "a", '{"data": {"card_token": "c0ffee"}}', 0, 0, 0, 0, PARENT)


def webhook(*answers: int) -> tuple[WebhookSender, list[httpx.Request]]:
    requests: list[httpx.Request] = []
    statuses = itertools.chain(answers, itertools.repeat(204))

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(next(statuses))

    return WebhookSender(
        "https://soc.example/s3cret", SECRET, network=Network(transport=httpx.MockTransport(handle))
    ), requests


def test_each_attempt_is_a_span_that_the_request_carries() -> None:
    recorded = RecordingTracer()
    inner, requests = webhook(503)
    receiver = TracedReceiver(inner, recorded.tracer)
    assert isinstance(receiver.deliver(MESSAGE), TryAgain)
    assert receiver.deliver(MESSAGE) == Delivered()
    receiver.close()
    failed, delivered = recorded.spans()
    assert [parent_id_of(span) for span in (failed, delivered)] == [STEP, STEP]
    assert [parent_of(request.headers["traceparent"]) for request in requests] == [id_of(failed), id_of(delivered)]
    assert all(request.headers["traceparent"].startswith(PARENT[:35]) for request in requests)
    assert (failed.name, failed.kind.name) == ("deliver webhook", "CLIENT")
    assert dict(delivered.attributes) == {
        "cardwatch.receiver": "webhook",
        "cardwatch.message_id": "a-2",
        "cardwatch.outcome": "delivered",
    }
    assert failed.attributes["error.type"] == failed.attributes["cardwatch.outcome"] == "try_again"
    told = failed.to_json() + delivered.to_json()
    assert "c0ffee" not in told
    assert "s3cret" not in told


@pytest.mark.parametrize(("outcome", "name"), [(Rejected("no"), "rejected"), (Gone("gone"), "gone")])
def test_outcomes_have_names(kit: Any, outcome: Any, name: str) -> None:
    recorded = RecordingTracer()
    assert TracedReceiver(kit.FakeReceiver(outcomes=[outcome]), recorded.tracer).deliver(MESSAGE) is outcome
    (span,) = recorded.spans()
    assert span.attributes["cardwatch.outcome"] == name


def test_a_receiver_that_breaks_has_failed() -> None:
    class Broken(StandardOutput):
        def deliver(self, message: Message) -> Any:
            raise KeyError(message.body)

    recorded = RecordingTracer()
    with pytest.raises(KeyError):
        TracedReceiver(Broken(), recorded.tracer).deliver(MESSAGE)
    (span,) = recorded.spans()
    assert span.attributes["error.type"] == "KeyError"
    assert "c0ffee" not in span.to_json(), "an exception's text may quote the message"


def test_an_alert_without_a_trace_begins_none() -> None:
    recorded = RecordingTracer()
    inner, requests = webhook()
    assert TracedReceiver(inner, recorded.tracer).deliver(replace(MESSAGE, trace_context=None)) == Delivered()
    assert recorded.spans() == ()
    assert "traceparent" not in requests[0].headers


def test_without_a_tracer_a_request_carries_the_alerts_own_context() -> None:
    inner, requests = webhook()
    assert inner.deliver(replace(MESSAGE, trace_context=f"{PARENT} v=1")) == Delivered()
    assert requests[0].headers["traceparent"] == PARENT
    assert requests[0].headers["tracestate"] == "v=1"


class FakeSource:
    """Takes commits."""

    def commit(self, positions: Any) -> None:
        """They are not what is tested."""


def test_the_trace_context_of_an_alert_is_kept_with_its_message(tmp_path: Path, kit: Any) -> None:
    def take(*messages: ConsumedMessage) -> dict[str, str | None]:
        box: Any = SqliteOutbox(tmp_path / "outbox.db")
        box.attach("webhook", "there", 0)
        metrics = NotifierMetrics(Metrics(), "webhook")
        letters: Any = None
        source: Any = FakeSource()
        decoder = AlertDecoder(lambda value: kit.record((value or b"").decode()), lambda: 5)
        writer = OutboxWriter(box, ["webhook"], topic_id="topic-id", wake=lambda: None, clock=lambda: 5)
        Intake(source, decoder, letters, writer, metrics, Shutdown()).take(messages)
        found = {delivery.message.alert_id: delivery.message.trace_context for delivery in box.lease("webhook", 5, 9)}
        box.close()
        return found

    def raw(offset: int, name: str, *headers: tuple[str, bytes | None]) -> ConsumedMessage:
        return ConsumedMessage(ReceivedMessage("alerts.v1", 0, offset, b"k", name.encode(), headers), 0)

    traced = ("traceparent", PARENT.encode())
    found = take(raw(0, "a", ("x", b"y"), traced), raw(1, "b"), raw(2, "c", ("traceparent", b"nonsense")))
    assert found == {kit.alert_id("a"): PARENT, kit.alert_id("b"): None, kit.alert_id("c"): None}
    # The same alert again, of a micro-batch that was done twice: the first one's step stays.
    again = ("traceparent", PARENT.replace(STEP, "1" * 16).encode())
    assert take(raw(3, "a", again))[kit.alert_id("a")] == PARENT
