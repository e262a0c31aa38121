"""Publishes the alerts of a micro-batch and counts them once the broker has acknowledged them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from cardwatch_kafka.messages import Headers, OutgoingMessage

from cardwatch_detector.runtime.spark_offsets import OffsetRange
from cardwatch_detector.velocity.kafka_clients import MessagePublisher
from cardwatch_detector.velocity.metrics import AlertMetrics
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces


@dataclass(frozen=True)
class AlertPublisher:
    """Publishes alerts, with the traces of their transactions where tracing is on.

    Attributes:
        topic: full name of the topic of alerts.
        clock_us: microseconds since 1970-01-01 UTC.
        traces: None where tracing is off.
    """

    topic: str
    publisher: MessagePublisher
    metrics: AlertMetrics
    clock_us: Callable[[], int]
    traces: AlertTraces | None = None

    def publish(self, alerts: Any, offsets: Callable[[], OffsetRange], began_us: int) -> None:
        """Publish the alerts of a micro-batch and wait until the broker has acknowledged all.

        Args:
            alerts: an Arrow table with the columns ``operator.ALERT``.
            offsets: the micro-batch's; called only where tracing is on.
            began_us: when work on the micro-batch began, microseconds since 1970-01-01 UTC.

        Raises:
            CardwatchError: not all were acknowledged; the micro-batch has to be repeated.
        """
        if self.traces is None:
            self._publish(alerts, repeat(()))
        else:
            with self.traces.headers_of(alerts["value"].to_pylist(), offsets(), began_us) as headers:
                self._publish(alerts, headers)
        self.metrics.count(alerts, self.clock_us())

    def _publish(self, alerts: Any, headers: Iterable[Headers]) -> None:
        columns = zip(alerts["key"].to_pylist(), alerts["value"].to_pylist(), headers, strict=False)
        self.publisher.publish(OutgoingMessage(self.topic, key.encode(), value, some) for key, value, some in columns)
