"""The span in which an alert is raised is the one that the engine has named in the alert's headers."""

from typing import Any

import pytest
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from support.recorded_spans import RecordingTracer, id_of, parent_id_of

BEGAN_US = 1_795_564_800_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4732"
SPAN: dict[str, Any] = {
    "parent": f"00-{TRACE}-00f067aa0ba902b7-01",
    "state": "vendor=1",
    "span_id": "a0f067aa0ba902b8",
    "partition": 0,
    "offset": 11,
    "alert_id": "a2",
    "rule_id": "r",
    "status": "raised",
    "detected_at": BEGAN_US + 70,
}


def test_a_span_is_recorded_as_the_engine_reports_it() -> None:
    recorded = RecordingTracer(traces_sampler="parentbased_always_off")
    AlertTraces(recorded.tracer, "silver").record([SPAN], BEGAN_US, BEGAN_US + 90)
    (span,) = recorded.spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert (id_of(span), parent_id_of(span)) == ("a0f067aa0ba902b8", "00f067aa0ba902b7")
    assert (span.name, span.kind.name) == ("process silver", "CONSUMER")
    assert dict(span.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "silver",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 11,
        "cardwatch.alert_id": "a2",
        "cardwatch.rule_id": "r",
        "cardwatch.outcome": "raised",
    }
    assert (span.start_time, span.end_time) == (BEGAN_US * 1000, (BEGAN_US + 90) * 1000)
    assert [(event.name, event.timestamp) for event in span.events] == [("evaluated", (BEGAN_US + 70) * 1000)]


def test_the_id_is_given_to_that_span_only() -> None:
    recorded = RecordingTracer()
    AlertTraces(recorded.tracer, "silver").record([SPAN], BEGAN_US, BEGAN_US)
    recorded.tracer.start_send("silver").end()
    first, second = recorded.spans()
    assert id_of(first) != id_of(second)


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 1.0),
        ({"traces_sampler": "parentbased_always_off"}, 1.0),
        ({"traces_sampler": "always_on"}, 1.0),
        ({"traces_sampler": "always_off"}, 0.0),
        ({"traces_sampler": "traceidratio", "traces_sampler_arg": 0.25}, 0.25),
    ],
)
def test_the_engine_is_told_which_share_is_recorded(settings: dict[str, Any], share: float) -> None:
    assert RecordingTracer(**settings).tracer.sampled_share == share
