"""The Faust application: takes batches of raw bytes, hands each to the processor, and commits what is published."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import faust
from cardwatch_service import logs
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from faust.app.base import BootStrategy

from cardwatch_enricher.message import RawMessage
from cardwatch_enricher.positions import Partition, Positions
from cardwatch_enricher.publish import StoppedError
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.transport import ConsumerThread, broker_urls, transport_type

log = logs.get(__name__)

Process = Callable[[Sequence[RawMessage]], None]

# sysexits.h EX_TEMPFAIL: whoever watches the process starts it again, from the last commit.
EXIT_UNSAFE: Final = 75


class _Boot(BootStrategy):
    """Consumer and agent only: publishing is librdkafka's, the health endpoint our own."""

    enable_kafka_producer = False
    enable_web = False


class _App(faust.App):
    BootStrategy = _Boot
    logger = logging.getLogger("faust.app")

    def __init__(self, *args: Any, transport: type[Any], **options: Any) -> None:
        self._transport_type = transport
        super().__init__(*args, **options)

    def _new_transport(self) -> Any:
        return self._transport_type(self.conf.broker_consumer, self)


class StreamApp:
    """One run of the Faust application, from joining the consumer group to leaving it."""

    def __init__(
        self,
        service: ServiceSettings,
        settings: EnricherSettings,
        topics: Sequence[str],
        process: Process,
        metrics: Metrics,
        data_dir: Path,
    ) -> None:
        """Must be made inside the running event loop.

        Args:
            process: blocks until a batch is safe; raises StoppedError to leave it unacknowledged.
            data_dir: a directory that Faust may write to; nothing in it is needed again.
        """
        self._settings = settings
        self._process = process
        self._metrics = metrics
        self._positions = Positions()
        self._assigned = False
        self.was_ready = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._app = self._make_app(service, settings, data_dir)
        self._channel = self._app.topic(
            *topics, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes, acks=False
        )
        self._app.agent(self._channel, name="enrich", concurrency=1)(self._enrich)
        self._app.on_partitions_assigned.connect(self._on_assigned, weak=False)

    @staticmethod
    def _make_app(service: ServiceSettings, settings: EnricherSettings, data_dir: Path) -> faust.App:
        return _App(
            service.consumer_group("enricher"),
            transport=transport_type(settings.fetch_wait_seconds),
            broker=broker_urls(service.kafka_bootstrap_servers),
            broker_credentials=credentials(service),
            broker_client_id="cardwatch-enricher",
            broker_session_timeout=settings.session_timeout_seconds,
            broker_heartbeat_interval=settings.session_timeout_seconds / 3,
            broker_request_timeout=max(30.0, settings.session_timeout_seconds),
            broker_max_poll_records=settings.batch_size,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=settings.instance_id or None,
            stream_wait_empty=False,
            stream_buffer_maxsize=4 * settings.batch_size,
            stream_recovery_delay=0.0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            datadir=str(data_dir),
            autodiscover=False,
        )

    @property
    def ready(self) -> bool:
        """Whether the consumer group has been joined and partitions were given out."""
        return self._assigned

    async def run(self, stop: Callable[[], bool]) -> None:
        """Consume until asked to stop.

        Raises:
            Exception: whatever broke Faust: the broker is away for longer than its client endures, mostly.
        """
        await self._app.start()
        commits = asyncio.create_task(self._commit_regularly())
        try:
            while not stop():
                await asyncio.sleep(0.05)
                crash = self._app.crash_reason
                if crash is not None:
                    raise crash
                if self._app.should_stop:
                    raise ConnectionError("the consumer ended by itself")
            await self._finish()
        finally:
            commits.cancel()
            self._assigned = False
            await self._app.stop()
            self._pool.shutdown(wait=False)
            self._forget(list(self._positions.all()))

    async def _finish(self) -> None:
        """Wait for the batch in hand and commit it, so that a clean stop leaves nothing to repeat."""
        self._stopping = True
        try:
            await asyncio.wait_for(self._idle.wait(), self._settings.stop_grace_seconds)
        except TimeoutError:
            log.warning("stopped with a batch in hand; it is repeated after a start")
        await self._commit()

    async def _enrich(self, stream: Any) -> None:
        async for events in stream.take_events(self._settings.batch_size, within=self._settings.batch_wait_seconds):
            if self._stopping:
                # Unpublished, uncommitted: read again after the start.
                await asyncio.Event().wait()
            await self._process_batch([_raw_message(event.message) for event in events])

    async def _process_batch(self, messages: list[RawMessage]) -> None:
        """Nothing may escape from here but a cancellation: Faust would take the next batch."""
        self._idle.clear()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._process, messages)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            raise
        except StoppedError as error:
            log.warning(str(error))
            await asyncio.Event().wait()
        except BaseException as error:  # noqa: BLE001
            log.critical(
                "a batch could be neither published nor kept as dead letters: exiting before it is acknowledged",
                error=str(error) if isinstance(error, Exception) else type(error).__name__,
            )
            # Not sys.exit: no handler on the way may commit anything.
            os._exit(EXIT_UNSAFE)
        self._positions.advance(messages)
        self._idle.set()

    async def _on_assigned(self, *arguments: Any, **_: Any) -> None:
        assigned = arguments[-1]
        self._forget(self._positions.keep_only({Partition(place.topic, place.partition) for place in assigned}))
        self._assigned = self.was_ready = True
        log.info("partitions assigned", partitions=sorted(f"{place.topic}-{place.partition}" for place in assigned))

    def _forget(self, partitions: list[Partition]) -> None:
        """A partition that another member has now is not ours to report."""
        for partition in partitions:
            for gauge in (self._metrics.position, self._metrics.lag):
                try:
                    gauge.remove(partition.topic, str(partition.number))
                except KeyError:
                    continue

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            await self._commit()

    async def _commit(self) -> None:
        consumer: Any = self._app.consumer
        thread: ConsumerThread = consumer._thread
        try:
            assigned = thread.partitions()
            for partition in assigned:
                if partition not in self._positions:
                    self._positions.start(partition, await thread.committed_or_first(partition))
            offsets = {
                partition: offset for partition, offset in self._positions.to_commit().items() if partition in assigned
            }
            if offsets:
                await thread.commit_positions(offsets)
                self._positions.committed(offsets)
            self._report(thread, assigned)
        except Exception as error:  # noqa: BLE001  # a rebalance or a broker that is away: the next commit makes up
            self._metrics.errors.labels("commit_failed").inc()
            log.warning("offsets could not be committed; trying again", error=str(error) or type(error).__name__)

    def _report(self, thread: ConsumerThread, assigned: set[Partition]) -> None:
        for partition, position in self._positions.all().items():
            if partition not in assigned:
                continue
            labels = (partition.topic, str(partition.number))
            self._metrics.position.labels(*labels).set(position)
            end = thread.end_offset(partition)
            if end is not None:
                self._metrics.lag.labels(*labels).set(max(0, end - thread.reached(partition, position)))


def credentials(service: ServiceSettings) -> Any:
    """Faust's credentials for the connection settings, None for a plain connection."""
    context = (
        ssl.create_default_context(cafile=service.kafka_ssl_ca_location or None)
        if service.kafka_security_protocol in ("SSL", "SASL_SSL")
        else None
    )
    if service.kafka_security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=service.kafka_sasl_username,
            password=service.kafka_sasl_password.get_secret_value(),
            mechanism=service.kafka_sasl_mechanism or "PLAIN",
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def _raw_message(message: Any) -> RawMessage:
    headers = message.headers
    return RawMessage(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(headers.items() if isinstance(headers, dict) else headers or ()),
        # Faust has seconds as a float, the broker milliseconds: exact again after rounding.
        broker_time=None if message.timestamp is None else round(message.timestamp * 1000) * 1000,
    )
