"""A message's trace continues with a span from taking its batch until the broker has what is published for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from cardwatch_kafka.messages import Headers, ReceivedMessage
from cardwatch_service.trace_context import extract_context, to_headers
from cardwatch_service.tracing import OUTCOME, REASON, TRANSACTION_ID, Span, Tracer

from cardwatch_enricher.pipeline.outcomes import Enriched, Outcome


class BatchTraces:
    """Starts and ends the spans of a batch. A message without a trace starts a new one: third-party producers may send
    none.
    """

    def __init__(self, tracer: Tracer, group: str) -> None:
        """``group`` is the consumer group."""
        self._tracer: Final = tracer
        self._group: Final = group

    @contextmanager
    def trace(self, messages: Sequence[ReceivedMessage]) -> Iterator["BatchSpans"]:
        """The spans of a batch, which is done, or has failed, at the end of the ``with`` block."""
        now_ns = time.time_ns()
        spans = [
            self._tracer.start_process(
                message.topic,
                message.partition,
                message.offset,
                context=extract_context(message.headers),
                group=self._group,
                start_ns=now_ns,
            )
            for message in messages
        ]
        error = ""
        try:
            yield BatchSpans(spans)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            for span in spans:
                if span.recording:
                    span.end(error)


class BatchSpans:
    """The spans of one batch, one per message."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans: Final = spans
        self.headers: Final[list[Headers]] = [to_headers(span.context) for span in spans]

    def set_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Add each message's outcome to its span."""
        for span, outcome in zip(self._spans, outcomes, strict=True):
            if not span.recording:
                continue
            if isinstance(outcome, Enriched):
                # Enriched, so it was searched: no card number is in it.
                span.set_attributes({OUTCOME: "enriched", TRANSACTION_ID: outcome.record["transaction_id"]})
            else:
                span.set_attributes({OUTCOME: "refused", REASON: outcome.reason.value})
