"""The notifier's own metrics, in addition to those of every service. Labels are bounded by the receivers configured."""

from collections.abc import Callable, Iterable
from typing import Final

from cardwatch_service.metrics import LATENCY_BUCKETS, Metrics
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cardwatch_notifier.notified_state import Decision
from cardwatch_notifier.outbox.protocol import Message, Outbox, OutboxUnavailableError

TRANSITIONS_TOTAL: Final = "cardwatch_notifier_transitions_total"
DELIVERIES_TOTAL: Final = "cardwatch_notifier_deliveries_total"
DELIVERY_LATENCY_SECONDS: Final = "cardwatch_notifier_delivery_latency_seconds"
OUTBOX_MESSAGES: Final = "cardwatch_notifier_outbox_messages"
OLDEST_PENDING_SECONDS: Final = "cardwatch_notifier_outbox_oldest_pending_seconds"
RECEIVER_DISABLED: Final = "cardwatch_notifier_receiver_disabled"
OUTBOX_AVAILABLE: Final = "cardwatch_notifier_outbox_available"

_OUTCOMES: Final = ("delivered", "retried", "failed", "gone")
# An alert reaches an idle receiver within milliseconds.
_DELIVERY_BUCKETS: Final = (0.002, 0.005, *LATENCY_BUCKETS)


class NotifierMetrics:
    """What the notifier counts.

    Args:
        shared: every service's metrics.
        clocked_receiver: whose deliveries the shared latency histogram measures. One receiver, so that a fast one
            (standard output) does not hide a slow one (the webhook) in the same histogram.
        receivers: all of them. Their counters start at 0: Prometheus sees no increase in a counter that first appears
            with a higher value.
    """

    def __init__(self, shared: Metrics, clocked_receiver: str, receivers: Iterable[str] = ()) -> None:
        self.shared: Final = shared
        self._clocked_receiver: Final = clocked_receiver
        self._transitions: Final = Counter(
            TRANSITIONS_TOTAL,
            "Alert events by decision: raised, suppressed, retracted, repeated or shadow.",
            ["verdict"],
            registry=shared.registry,
        )
        self._deliveries: Final = Counter(
            DELIVERIES_TOTAL,
            "Attempts to deliver, by result: delivered, retried, failed (parked), gone (410).",
            ["receiver", "outcome"],
            registry=shared.registry,
        )
        self._delivery_latency: Final = Histogram(
            DELIVERY_LATENCY_SECONDS,
            "Seconds from an alert's publication by the detector to its delivery.",
            ["receiver"],
            buckets=_DELIVERY_BUCKETS,
            registry=shared.registry,
        )
        for receiver in receivers:
            for outcome in _OUTCOMES:
                self._deliveries.labels(receiver, outcome)

    def accepted(self, decisions: Iterable[Decision]) -> None:
        """Count alert events that the outbox has taken."""
        for decision in decisions:
            self._transitions.labels(decision.value).inc()

    def delivered(self, receiver: str, message: Message, at: int) -> None:
        """Count a delivery that ended at ``at``, microseconds since 1970-01-01 UTC."""
        self._deliveries.labels(receiver, "delivered").inc()
        self._delivery_latency.labels(receiver).observe((at - message.detected_at) / MICROSECONDS_PER_SECOND)
        if receiver == self._clocked_receiver:
            for start, since in (
                ("event_time", message.event_time),
                ("raw_broker_time", message.raw_broker_time),
                ("alert_published", message.detected_at),
            ):
                self.shared.latency.labels(start, "delivered").observe((at - since) / MICROSECONDS_PER_SECOND)

    def not_delivered(self, receiver: str, outcome: str) -> None:
        """Count an attempt that did not succeed: retried, failed or gone."""
        self._deliveries.labels(receiver, outcome).inc()


class OutboxCollector(Collector):
    """Reads the outbox when it is scraped. Notifiers that share one show the same: take the maximum, not the sum."""

    def __init__(self, outbox: Outbox, clock: Callable[[], int]) -> None:
        self._outbox = outbox
        self._clock = clock

    def collect(self) -> Iterable[GaugeMetricFamily]:
        messages = GaugeMetricFamily(OUTBOX_MESSAGES, "Undelivered messages, by state.", labels=["receiver", "state"])
        oldest = GaugeMetricFamily(
            OLDEST_PENDING_SECONDS, "Age of the oldest message that still has to be delivered.", labels=["receiver"]
        )
        disabled = GaugeMetricFamily(
            RECEIVER_DISABLED, "1 where nothing is sent because the receiver answered 410 Gone.", labels=["receiver"]
        )
        available = GaugeMetricFamily(OUTBOX_AVAILABLE, "1 where the outbox answers, 0 where it does not.")
        try:
            # The outbox is not asked while other calls wait for it: a scrape must not hang.
            backlogs = None if self._outbox.problem() else self._outbox.backlog()
        except OutboxUnavailableError:
            backlogs = None
        if backlogs is None:
            available.add_metric([], 0)
            return [available]
        available.add_metric([], 1)
        now = self._clock()
        for backlog in backlogs:
            since = now if backlog.oldest_pending_at is None else backlog.oldest_pending_at
            messages.add_metric([backlog.receiver, "pending"], backlog.pending)
            messages.add_metric([backlog.receiver, "failed"], backlog.failed)
            oldest.add_metric([backlog.receiver], max(0, now - since) / MICROSECONDS_PER_SECOND)
            disabled.add_metric([backlog.receiver], 1 if backlog.disabled_reason else 0)
        return [available, messages, oldest, disabled]
