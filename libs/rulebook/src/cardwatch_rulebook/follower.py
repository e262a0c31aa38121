"""A thread that reads rules and lists from the beginning and then follows them."""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_kafka.topic_follower import FollowedBatch
from cardwatch_service import logs
from cardwatch_service.retry_pauses import REGISTRY_SECONDS
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, wait_fixed
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from cardwatch_rulebook.log import Feed
from cardwatch_rulebook.snapshot import Snapshot, SnapshotBuilder

_POLL_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 10.0

log = logs.get_logger(__name__)

T = TypeVar("T")


class Follower:
    """Rules and lists as they are now; a context manager.

    It survives outages of broker and registry: the last snapshot stays, and the missed messages are read afterwards.
    """

    def __init__(
        self,
        feed: Feed,
        builder: SnapshotBuilder,
        take: Callable[[ReceivedMessage], None],
        *,
        look_up_schemas: Callable[[Sequence[ReceivedMessage]], None] = lambda messages: None,
        registry_retry_seconds: float = REGISTRY_SECONDS,
    ) -> None:
        """
        Args:
            feed: where rules and lists come from.
            builder: builds the snapshots.
            take: passes one message to the builder. It raises RegistryUnavailableError where the message has to be
                tried again, and nothing for a bad message.
            look_up_schemas: asks for the schemas of a batch at once, before its messages are taken one by one. Raises
                RegistryUnavailableError where the whole batch has to be tried again.
            registry_retry_seconds: the pause before it is tried again.
        """
        self._feed: Final = feed
        self._builder: Final = builder
        self._take: Final = take
        self._look_up_schemas: Final = look_up_schemas
        self._snapshot = Snapshot()
        self._unread = set(feed.topics)
        self._problem = ""
        self._read: Final = threading.Event()
        self._stopping: Final = threading.Event()
        self._retrying: Final = Retrying(
            retry=retry_if_exception_type(RegistryUnavailableError),
            wait=wait_fixed(registry_retry_seconds),
            stop=stop_when_event_set(self._stopping),
            sleep=sleep_using_event(self._stopping),
            before_sleep=self._before_retry,
        )
        self._thread: Final = threading.Thread(target=self._run, name="rules-follower", daemon=True)

    def start(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread and disconnect. The last snapshot stays."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; False without a stop means a defect (see the log)."""
        return self._thread.is_alive()

    def wait_until_read(self, timeout_seconds: float) -> Snapshot:
        """Wait until everything that was there at the start has been read.

        Raises:
            CardwatchError: it was not within ``timeout_seconds``; the message says why.
        """
        if not self._read.wait(timeout_seconds):
            why = f": {self._problem}" if self._problem else ""
            raise CardwatchError(
                f"{' and '.join(sorted(self._feed.topics))} could not be read within {timeout_seconds:g} s{why}"
            )
        return self._snapshot

    def snapshot(self) -> Snapshot:
        """Rules and lists as of now. Instant; empty and of generation 0 before everything was read."""
        return self._snapshot

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._step(self._feed.poll(_POLL_SECONDS))
        except Exception:
            # A defect. The detector continues with the last snapshot, and its health check sees it by `alive`.
            log.exception("rules and lists are no longer followed")
        finally:
            self._feed.close()

    def _step(self, batch: FollowedBatch) -> None:
        if batch.problem and not self._problem:  # logged once per outage, because its error sentences change
            log.warning("rules and lists cannot be followed now", problem=batch.problem)
        elif self._problem and batch.messages:
            log.info("rules and lists are followed again")
        if batch.problem or batch.messages:
            self._problem = batch.problem
        if not self._done_until_stopped(self._look_up_schemas, batch.messages):
            return
        for message in batch.messages:
            if not self._done_until_stopped(self._take, message):
                return
        first = bool(self._unread) and not self._unread - batch.at_end
        self._unread -= batch.at_end
        # Wait until everything was read: half of the rules would be a state that never existed.
        if not self._unread:
            self._snapshot = self._builder.build(first=first)
            self._read.set()

    def _done_until_stopped(self, work: Callable[[T], None], on: T) -> bool:
        """Whether the work was done: it is tried until the registry answers or the follower is stopped."""
        try:
            work(on)
        except RegistryUnavailableError:
            # Rare, so that the cost of a retrying call is paid then only: a list may have a million entries.
            return self._retry_until_stopped(work, on)
        return True

    def _retry_until_stopped(self, work: Callable[[T], None], on: T) -> bool:
        try:
            self._retrying(work, on)
        except RetryError:
            return False
        return True

    def _before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if not self._problem:
            log.warning("rules and lists cannot be followed now", problem=str(error))
        self._problem = str(error)
