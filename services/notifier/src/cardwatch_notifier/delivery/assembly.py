"""Creates the receivers and their couriers as the settings describe them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cardwatch_service.tracing import Tracer
from cardwatch_units.timestamps import now_microseconds

from cardwatch_notifier.delivery.courier import Courier
from cardwatch_notifier.delivery.couriers import Couriers
from cardwatch_notifier.delivery.policy import DeliveryPolicy
from cardwatch_notifier.delivery.receiver import Receiver
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule
from cardwatch_notifier.delivery.standard_output import StandardOutput
from cardwatch_notifier.delivery.traced_receiver import TracedReceiver
from cardwatch_notifier.delivery.webhook_client import Network
from cardwatch_notifier.delivery.webhook_sender import WebhookSender
from cardwatch_notifier.metrics import NotifierMetrics
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.settings import NotifierSettings


def make_receivers(own: NotifierSettings) -> list[Receiver]:
    """The receivers that the settings name; the webhook, where there is one, is the last."""
    receivers: list[Receiver] = []
    if own.stdout:
        receivers.append(StandardOutput())
    if own.webhook_url:
        receivers.append(
            WebhookSender(
                own.webhook_url,
                own.webhook_secret.get_secret_value(),
                timeout_seconds=own.webhook_timeout_seconds,
                concurrency=own.webhook_concurrency,
                network=Network(own.webhook_tls().context() if own.webhook_ssl_ca_location else None),
            )
        )
    return receivers


def trace_receivers(receivers: Sequence[Receiver], tracer: Tracer | None) -> list[Receiver]:
    """The receivers, with a span for each attempt where traces are on."""
    return [receiver if tracer is None else TracedReceiver(receiver, tracer) for receiver in receivers]


def make_policy(own: NotifierSettings) -> DeliveryPolicy:
    """The delivery policy that the settings describe."""
    return DeliveryPolicy(
        transient=RetrySchedule(own.retry_first_seconds, own.retry_longest_seconds),
        rejected=RetrySchedule(own.rejected_first_seconds, own.rejected_longest_seconds),
        max_failures=own.retry_attempts,
        max_rejections=own.rejected_attempts,
    )


def make_couriers(
    outbox: Outbox, receivers: Sequence[Receiver], own: NotifierSettings, metrics: NotifierMetrics
) -> Couriers:
    """A courier for each receiver, with as many threads as the receiver takes messages at a time."""
    policy = make_policy(own)
    return Couriers(
        [
            Courier(
                outbox,
                receiver,
                policy,
                ThreadPoolExecutor(receiver.concurrency, thread_name_prefix=receiver.name),
                metrics,
                now_microseconds,
            )
            for receiver in receivers
        ]
    )
