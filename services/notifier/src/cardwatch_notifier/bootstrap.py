"""The one place where the notifier's parts are put together."""

from contextlib import ExitStack, suppress
from functools import partial

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.retry import StoppedError
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.tracing import tracing
from cardwatch_units.timestamps import now_microseconds

from cardwatch_notifier.delivery.assembly import make_couriers, make_receivers, trace_receivers
from cardwatch_notifier.delivery.couriers import Couriers
from cardwatch_notifier.delivery.receiver import Receiver
from cardwatch_notifier.intake.assembly import connect
from cardwatch_notifier.intake.intake import Intake, OutboxWriter
from cardwatch_notifier.metrics import NotifierMetrics, OutboxCollector
from cardwatch_notifier.outbox.housekeeping import Housekeeping
from cardwatch_notifier.outbox.opening import open_outbox, outbox_location
from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.outbox.sqlite.process_lock import lock_outbox
from cardwatch_notifier.readiness import NotifierReadiness
from cardwatch_notifier.settings import NotifierSettings
from cardwatch_notifier.wait_for_dependency import wait_for_dependency

log = get_logger(__name__)


def run(service: ServiceSettings, own: NotifierSettings, shutdown: Shutdown) -> None:
    """Run the notifier until the stop is requested.

    Raises:
        CardwatchError: it cannot start, or cannot go on.
    """
    receivers = make_receivers(own)
    names = [receiver.name for receiver in receivers]
    health = NotifierReadiness()
    with ExitStack() as stack:
        if not own.outbox_url:
            stack.enter_context(lock_outbox(own.outbox_path))
        metrics = NotifierMetrics(Metrics(), clocked_receiver=names[-1], receivers=names)
        tracer = stack.enter_context(tracing("cardwatch-notifier", metrics.shared))
        receivers = trace_receivers(receivers, tracer)
        endpoint = HealthEndpoint(
            metrics.shared.registry,
            healthy=health.unhealthy,
            ready=health.not_ready,
            host=service.metrics_host,
            port=service.metrics_port,
        )
        endpoint.start()
        stack.callback(endpoint.stop)
        log.info("starting", metrics_port=endpoint.port, receivers=names, outbox=outbox_location(own))
        with suppress(StoppedError):
            outbox = wait_for_dependency("outbox", partial(open_outbox, own), stop=shutdown, metrics=metrics)
            health.outbox = outbox
            stack.callback(outbox.close)
            metrics.shared.registry.register(OutboxCollector(outbox, now_microseconds))
            attach = partial(_attach, outbox, receivers)
            instance_id = wait_for_dependency("outbox", attach, stop=shutdown, metrics=metrics)
            couriers = make_couriers(outbox, receivers, own, metrics)
            _start_delivery(stack, couriers, Housekeeping(outbox, own.retention_days, now_microseconds), shutdown)
            health.couriers = couriers
            log.info("delivering", outbox_id=instance_id)
            member = None if own.outbox_url else instance_id
            parts = connect(service, outbox, member, metrics, shutdown)
            health.source = parts.source
            stack.callback(parts.source.close)
            writer = OutboxWriter(outbox, names, topic_id=parts.topic_id, wake=couriers.wake, clock=now_microseconds)
            Intake(parts.source, parts.decoder, parts.dead_letters, writer, metrics, shutdown).run()
        log.info("stopped")
    failure = None if health.couriers is None else health.couriers.failure
    if failure is not None:
        raise CardwatchError(f"the notifier had to stop: {failure}") from failure


def _attach(outbox: Outbox, receivers: list[Receiver]) -> str:
    """Make the receivers known to the outbox; returns its identity."""
    for receiver in receivers:
        outbox.attach(receiver.name, receiver.target, now_microseconds())
    return outbox.instance_id()


def _start_delivery(stack: ExitStack, couriers: Couriers, housekeeping: Housekeeping, shutdown: Shutdown) -> None:
    """Deliver what an earlier run left, at once, whether the broker is there or not."""
    stack.callback(couriers.stop)
    couriers.start(on_failure=shutdown.request)
    housekeeping.start()
    stack.callback(housekeeping.stop)
