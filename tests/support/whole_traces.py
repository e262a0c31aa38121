"""Traces through the whole pipeline, as a collector received them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from support.otlp_collector import ReceivedSpan

# Settings for services: every trace is recorded, and exported within 200 ms.
TRACE_EVERYTHING: Final = {
    "OTEL_TRACES_SAMPLER": "always_on",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True)
class WholeTrace:
    """The spans of a transaction on its way to a webhook, each the parent of the next one."""

    sent: ReceivedSpan
    enriched: ReceivedSpan
    raised: ReceivedSpan
    delivered: ReceivedSpan

    @property
    def steps(self) -> tuple[ReceivedSpan, ...]:
        """The four spans in the order of the pipeline."""
        return self.sent, self.enriched, self.raised, self.delivered


def whole_traces(traceparents: Iterable[str], spans: Iterable[ReceivedSpan]) -> dict[str, WholeTrace]:
    """The trace that ends in each request to the webhook, by the request's ``traceparent``.

    Traces with a missing span are left out: a service that is killed loses the spans that it has not exported yet.
    """
    by_id = {span.span_id: span for span in spans}
    found = {}
    for traceparent in traceparents:
        _, trace_id, step, _ = traceparent.split("-")
        steps = []
        while (span := by_id.get(step)) is not None:
            assert span.trace_id == trace_id, "a step's parent is in the same trace"
            steps.append(span)
            step = span.parent_id
        if not step:
            found[traceparent] = WholeTrace(*reversed(steps))
    return found
