"""Traces of the detector: an alert goes on with the trace of the transaction whose arrival raised it.

Neither the state nor Spark's plan knows of traces, so they can be switched on and off over one checkpoint, and cost
nothing where they are off. Where they are on, the messages of a micro-batch that has alerts are read once more, beside
Spark, for their headers. The same micro-batch, done again, finds the same traces.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.wire import Record
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_service.logs import get
from cardwatch_service.trace_context import extract_context, is_sampled, to_headers
from cardwatch_service.tracing import ALERT_ID, OUTCOME, RULE_ID, Span, Tracer

from cardwatch_detector.runtime.progress import Offsets
from cardwatch_detector.velocity.silver_range import SilverMessage, SilverReader, of_partition

_log = get(__name__)

# A larger micro-batch is one that catches up: alerts must not wait until it is read a second time. So many take some
# 100 ms, the hundred of a quiet one 25 ms.
_MOST_MESSAGES: Final = 10_000
_WARN_SECONDS: Final = 60.0

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transaction of the micro-batch whose trace is recorded."""

    message: SilverMessage
    context: str
    record: Record


class AlertTraces:
    """Begins and ends the steps in which alerts are raised: one an alert whose transaction's trace is recorded."""

    def __init__(
        self,
        tracer: Tracer,
        topic: str,
        reader: SilverReader,
        decode_silver: Callable[[bytes | None], Record],
        decode_alert: Callable[[bytes | None], Record],
    ) -> None:
        """
        Args:
            topic: full name of the silver topic.
            reader: of that topic, headers included.
        """
        self._tracer: Final = tracer
        self._topic: Final = topic
        self._reader: Final = reader
        self._decode_silver: Final = decode_silver
        self._decode_alert: Final = decode_alert
        self._warned = float("-inf")

    @contextmanager
    def of(self, alerts: Sequence[bytes], start: Offsets, end: Offsets, began_us: int) -> Iterator[list[Headers]]:
        """The headers of alerts that are published within the ``with``; none where there is no trace to go on with.

        Args:
            alerts: their messages.
            start, end: the stretch of topics that the micro-batch consists of.
            began_us: when work on the micro-batch began, microseconds since 1970-01-01 UTC.
        """
        try:
            spans = self._spans(alerts, start, end, began_us)
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

    def _spans(self, alerts: Sequence[bytes], start: Offsets, end: Offsets, began_us: int) -> list[Span | None]:
        arrivals = self._arrivals(of_partition(start, self._topic), of_partition(end, self._topic))
        if not arrivals:
            return [None] * len(alerts)
        at: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            at.setdefault(arrival.record["raw_broker_time"], []).append(arrival)
        return [self._span(self._decode_alert(alert), at, began_us) for alert in alerts]

    def _arrivals(self, start: Mapping[int, int], end: Mapping[int, int]) -> list[Arrival]:
        """In the order of their places, whatever order they are read in."""
        if sum(until - start.get(partition, 0) for partition, until in end.items()) > _MOST_MESSAGES:
            return []
        found = []
        for message in self._reader.read(start, end):
            context = extract_context(message.headers)
            if context is None or not is_sampled(context):
                continue
            try:
                found.append(Arrival(message, context, self._decode_silver(message.value)))
            except RefusedError:  # it raised nothing
                continue
        return sorted(found, key=lambda arrival: (arrival.message.partition, arrival.message.offset))

    def _span(self, alert: Record, at: Mapping[int, Sequence[Arrival]], began_us: int) -> Span | None:
        arrival = cause(alert, at.get(alert["raw_broker_time"], ()))
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
        if now - self._warned > _WARN_SECONDS:
            self._warned = now
            _log.warning("alerts are published without their traces", reason=str(error) or type(error).__name__)


def cause(alert: Record, arrivals: Sequence[Arrival]) -> Arrival | None:
    """The arrival that raised (or suppressed, retracted) an alert: that of its own transaction, or, where that came
    earlier, the late one in the same group that made the difference.

    Args:
        arrivals: those that the broker appended at the alert's ``raw_broker_time``, which is that of its cause.
    """
    for arrival in arrivals:
        if arrival.record["transaction_id"] == alert["transaction_id"]:
            return arrival
    key = SCOPE_KEYS[alert["scope"]]
    return next((arrival for arrival in arrivals if arrival.record[key] == alert["key"]), None)
