"""The Faust application: takes batches of messages, passes each to the processor, and commits what is published."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from cardwatch_kafka.errors import StoppedError
from cardwatch_kafka.messages import ReceivedMessage, TopicPartition, broker_time_from
from cardwatch_service import logs
from cardwatch_service.metrics import Metrics
from cardwatch_service.progress_watch import ProgressWatch
from cardwatch_units.timestamps import now_microseconds

from cardwatch_enricher.internals import FaustApplication, Fetching
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.stream.fetch_budget import FetchBudget, message_bytes
from cardwatch_enricher.stream.offset_commit import OffsetCommitter

log = logs.get_logger(__name__)

ProcessBatch = Callable[[Sequence[ReceivedMessage]], None]
MakeFaust = Callable[[Fetching], FaustApplication]

# EX_TEMPFAIL of sysexits.h: the supervisor starts the process again, which continues from the last commit.
EXIT_UNSAFE: Final = 75

_STOP_CHECK_SECONDS: Final = 0.05
_BYTES_PER_MB: Final = 1024 * 1024
_LOG_APPEND_TIME: Final = 1  # Kafka's number of the timestamp type: the broker's clock; 0 is CreateTime, the producer's


class StreamApplication:
    """One run of the Faust application, from joining the consumer group to leaving it."""

    def __init__(
        self,
        make_faust: MakeFaust,
        settings: EnricherSettings,
        topics: Sequence[str],
        process: ProcessBatch,
        metrics: Metrics,
        watch: ProgressWatch,
    ) -> None:
        """Create it inside the running event loop.

        Args:
            make_faust: creates Faust's application.
            process: blocks until a batch is safe; raises StoppedError to leave it unacknowledged.
            watch: is told where the consumer is, and how far there is more.
        """
        self._settings: Final = settings
        self._process: Final = process
        self._watch: Final = watch
        self._budget: Final = FetchBudget(settings.buffer_mb * _BYTES_PER_MB, settings.batch_wait_seconds)
        self._offsets: Final = OffsetCommitter(lambda: self._app.consumer_thread, metrics)
        self._assigned = False
        self.was_ready = False
        self._stopping = False
        self._idle: Final = asyncio.Event()
        self._idle.set()
        self._pool: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._app: Final = make_faust(Fetching(settings.fetch_wait_seconds, self._budget))
        channel = self._app.topic(
            *topics, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes, acks=False
        )
        self._app.agent(channel, name="enrich", concurrency=1)(self._take_batches)
        self._app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self._app.on_partitions_revoked.connect(self._on_revoked, weak=False)

    @property
    def ready(self) -> bool:
        """Whether the consumer group has been joined and partitions were assigned."""
        return self._assigned

    async def run(self, is_stop_requested: Callable[[], bool]) -> None:
        """Consume until asked to stop.

        Raises:
            LostOffsetsError: the broker has deleted messages before they were read.
            Exception: any error that ended Faust; mostly the broker was away for longer than its client waits.
        """
        await self._app.start()
        self._watch.report_alive()
        tasks = [asyncio.create_task(self._commit_regularly()), asyncio.create_task(self._report_progress())]
        try:
            while not is_stop_requested():
                await asyncio.sleep(_STOP_CHECK_SECONDS)
                crash = self._app.lost_offsets_error or self._app.crash_reason
                if crash is not None:
                    raise crash
                if self._app.should_stop:
                    raise ConnectionError("the consumer ended by itself")
            await self._finish_batch()
        finally:
            for task in tasks:
                task.cancel()
            self._watch.report_end()
            self._assigned = False
            await self._app.stop()
            self._pool.shutdown(wait=False)
            self._offsets.remove_gauges()

    async def _finish_batch(self) -> None:
        """Wait for the current batch and commit it, so that a clean stop leaves nothing to repeat."""
        self._stopping = True
        try:
            await asyncio.wait_for(self._idle.wait(), self._settings.stop_grace_seconds)
        except TimeoutError:
            log.warning("stopped during a batch; it is repeated after a restart")
        await self._offsets.commit()

    async def _take_batches(self, stream: Any) -> None:
        async for events in stream.take_events(self._settings.batch_size, within=self._settings.batch_wait_seconds):
            if self._stopping:
                # Unpublished and uncommitted: read again after the restart.
                await asyncio.Event().wait()
            messages = [received_message(event.message) for event in events]
            with self._budget.processing(sum(message_bytes(one.key, one.value, one.headers) for one in messages)):
                await self._process_batch(messages)

    async def _process_batch(self, messages: list[ReceivedMessage]) -> None:
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
                "a batch could be neither published nor kept as dead letters; exiting without committing its offsets",
                error=str(error) if isinstance(error, Exception) else type(error).__name__,
            )
            # Not sys.exit: no handler on the way may commit anything.
            os._exit(EXIT_UNSAFE)
        self._offsets.advance(messages)
        self._idle.set()

    async def _on_assigned(self, *arguments: Any, **_: Any) -> None:
        assigned = arguments[-1]
        self._budget.start_assignment()
        self._offsets.keep_only({TopicPartition(one.topic, one.partition) for one in assigned})
        self._assigned = self.was_ready = True
        log.info("partitions assigned", partitions=sorted(f"{one.topic}-{one.partition}" for one in assigned))

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self._budget.start_assignment()

    async def _report_progress(self) -> None:
        """Ask the broker itself how far there is more: what the consumer knows is as old as its last fetch."""
        while True:
            await asyncio.sleep(self._watch.interval_seconds)
            try:
                ends = await self._app.consumer_thread.last_offsets()
            except Exception:  # noqa: BLE001  # the broker is away: the clients try to reach it, and so does this
                self._watch.report_alive()
            else:
                self._watch.report_work(
                    {
                        f"{partition.topic}-{partition.partition}": offset
                        for partition, offset in self._offsets.reached().items()
                        if offset < ends.get(partition, offset)
                    }
                )

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            await self._offsets.commit()


def received_message(message: Any) -> ReceivedMessage:
    """A message of Faust as a plain value."""
    headers = message.headers
    return ReceivedMessage(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple(headers.items() if isinstance(headers, dict) else headers or ()),
        broker_time=_broker_time(message),
    )


def _broker_time(message: Any) -> int | None:
    if message.timestamp is None:
        return None
    read_at = None if message.timestamp_type == _LOG_APPEND_TIME else now_microseconds()
    # Faust has seconds as a float, the broker milliseconds: exact again after rounding.
    return broker_time_from(round(message.timestamp * 1000), read_at=read_at)
