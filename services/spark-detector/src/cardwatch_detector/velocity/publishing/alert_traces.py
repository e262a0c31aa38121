"""Tracing in the detector: an alert continues the trace of the transaction whose arrival raised it.

Neither the state nor Spark's plan knows of traces, so tracing can be switched on and off with one checkpoint, and costs
nothing while it is off. While it is on, the messages of a micro-batch that has alerts are read once more, outside of
Spark, for their headers. A repeated micro-batch finds the same traces.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import Headers, ReceivedMessage
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_service.logs import get_logger
from cardwatch_service.trace_context import extract_context, is_sampled, to_headers
from cardwatch_service.tracing import ALERT_ID, OUTCOME, RULE_ID, Span, Tracer

from cardwatch_detector.runtime.spark_offsets import OffsetRange, partition_offsets
from cardwatch_detector.velocity.kafka_clients import MessageReader

_log = get_logger(__name__)

# A larger micro-batch is catching up: alerts must not wait until it is read a second time. This many messages take some
# 100 ms, the hundred of a quiet micro-batch 25 ms.
_MAX_TRACED_MESSAGES: Final = 10_000
_WARN_EVERY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class TracedArrival:
    """A transaction of the micro-batch whose trace is recorded."""

    message: ReceivedMessage
    context: str
    record: Record


class AlertTraces:
    """Begins and ends the spans in which alerts are raised: one per alert whose transaction's trace is recorded."""

    def __init__(
        self,
        tracer: Tracer,
        topic: str,
        reader: MessageReader,
        *,
        decode_silver: Callable[[bytes | None], Record],
        decode_alert: Callable[[bytes | None], Record],
    ) -> None:
        """
        Args:
            topic: full name of the silver topic.
            reader: reads that topic.
        """
        self._tracer: Final = tracer
        self._topic: Final = topic
        self._reader: Final = reader
        self._decode_silver: Final = decode_silver
        self._decode_alert: Final = decode_alert
        self._warned = float("-inf")

    @contextmanager
    def headers_of(self, alerts: Sequence[bytes], offsets: OffsetRange, began_us: int) -> Iterator[list[Headers]]:
        """The headers of alerts that are published within the ``with``; empty where there is no trace to continue.

        Args:
            alerts: their messages.
            offsets: those of the micro-batch.
            began_us: when work on the micro-batch began, microseconds since 1970-01-01 UTC.
        """
        try:
            spans = self._spans(alerts, offsets, began_us)
        except Exception as error:  # noqa: BLE001  # an alert without its trace is better than none
            self._warn(error)
            spans = [None] * len(alerts)
        failure = ""
        try:
            yield [() if span is None else tuple(to_headers(span.context)) for span in spans]
        except BaseException as raised:
            failure = type(raised).__name__
            raise
        finally:
            for span in spans:
                if span is not None:
                    span.end(failure)

    def _spans(self, alerts: Sequence[bytes], offsets: OffsetRange, began_us: int) -> list[Span | None]:
        arrivals = self._arrivals(*(partition_offsets(side, self._topic) for side in offsets))
        if not arrivals:
            return [None] * len(alerts)
        at: dict[int, list[TracedArrival]] = {}
        for arrival in arrivals:
            at.setdefault(arrival.record["raw_broker_time"], []).append(arrival)
        return [self._span(self._decode_alert(alert), at, began_us) for alert in alerts]

    def _arrivals(self, start: Mapping[int, int], end: Mapping[int, int]) -> list[TracedArrival]:
        """The traced arrivals, keyed by partition and offset."""
        if sum(until - start.get(partition, 0) for partition, until in end.items()) > _MAX_TRACED_MESSAGES:
            return []
        found = []
        for message in self._reader.read(self._topic, start, end):
            context = extract_context(message.headers)
            if context is None or not is_sampled(context):
                continue
            try:
                found.append(TracedArrival(message, context, self._decode_silver(message.value)))
            except RefusedError:  # it raised no alert
                continue
        return sorted(found, key=lambda arrival: (arrival.message.partition, arrival.message.offset))

    def _span(self, alert: Record, at: Mapping[int, Sequence[TracedArrival]], began_us: int) -> Span | None:
        arrival = find_cause(alert, at.get(alert["raw_broker_time"], ()))
        if arrival is None:
            return None
        message = arrival.message
        span = self._tracer.start_process(
            self._topic, message.partition, message.offset, context=arrival.context, start_ns=began_us * 1000
        )
        span.set_attributes({ALERT_ID: alert["alert_id"], RULE_ID: alert["rule_id"], OUTCOME: alert["status"]})
        span.add_event("evaluated", alert["detected_at"] * 1000)
        return span

    def _warn(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._warned > _WARN_EVERY_SECONDS:
            self._warned = now
            _log.warning("alerts are published without their traces", reason=str(error) or type(error).__name__)


def find_cause(alert: Record, arrivals: Sequence[TracedArrival]) -> TracedArrival | None:
    """The arrival that raised (or suppressed, retracted) an alert: that of its own transaction, or, where that came
    earlier, the late one with the same key that changed the result.

    Args:
        arrivals: those that the broker appended at the alert's ``raw_broker_time``, which is that of its cause.
    """
    for arrival in arrivals:
        if arrival.record["transaction_id"] == alert["transaction_id"]:
            return arrival
    key = SCOPE_KEYS[alert["scope"]]
    return next((arrival for arrival in arrivals if arrival.record[key] == alert["key"]), None)
