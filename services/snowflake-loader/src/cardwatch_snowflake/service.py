"""The loop: one step per table, round after round; a failing table does not delay the others."""

from collections.abc import Sequence
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger
from cardwatch_service.retry_pauses import MAX_FIRST_LOAD_SECONDS, load_pause
from cardwatch_service.shutdown import Shutdown
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from cardwatch_snowflake.errors import WarehouseError
from cardwatch_snowflake.loader import Loaded, TableLoader
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.warehouse import Warehouse

log = get_logger(__name__)

_ATTEMPTS: Final = 5


class LoaderService:
    """Loads tables until the stop is requested."""

    def __init__(
        self,
        loaders: Sequence[TableLoader],
        warehouse: Warehouse,
        metrics: LoaderMetrics,
        shutdown: Shutdown,
        poll_seconds: float,
        max_first_pause_seconds: float = MAX_FIRST_LOAD_SECONDS,
    ) -> None:
        self._loaders: Final = tuple(loaders)
        self._warehouse: Final = warehouse
        self._metrics: Final = metrics
        self._shutdown: Final = shutdown
        self._poll_seconds: Final = poll_seconds
        self._max_first_pause_seconds: Final = max_first_pause_seconds
        self._looked_at: Final[set[str]] = set()
        self._failing: Final[dict[str, str]] = {}
        self._resting: Final[set[str]] = set()  # failed since the last pause

    def run(self) -> None:
        """Load the changes that exist and those that follow, until the stop is requested."""
        while not self._shutdown.requested:
            if not self.round():
                self._shutdown.wait(self._poll_seconds)
                self._resting.clear()

    def catch_up(self) -> None:
        """Load the changes that exist now.

        Raises:
            CardwatchError: a table could not be loaded; the others are.
        """
        while not self._shutdown.requested and self.round():
            """Another round follows as long as a round leaves something to do."""
        if self._failing:
            raise CardwatchError("; ".join(f"{table}: {problem}" for table, problem in self._failing.items()))

    def round(self) -> bool:
        """Take every table one step forward; returns whether there is more to do at once.

        A table that failed rests until the next pause, so that the work of others does not speed up its attempts.
        """
        more = False
        for loader in self._loaders:
            if self._shutdown.requested:
                return False
            if loader.name in self._resting:
                continue
            try:
                loaded = self._step_with_retries(loader)
            except CardwatchError as error:
                self._record_failure(loader.name, str(error))
                continue
            if self._failing.pop(loader.name, None) is not None:
                log.info("the table is loaded again", table=loader.name)
            if not loaded.more:
                self._looked_at.add(loader.name)
            more = more or loaded.more
        return more

    def not_ready(self) -> str:
        """What keeps the loader from being ready: a table that fails, or was not loaded up to now yet."""
        for table, problem in self._failing.items():
            return f"{table} is not loaded: {problem}"
        waiting = [loader.name for loader in self._loaders if loader.name not in self._looked_at]
        return f"loading {', '.join(waiting)} for the first time" if waiting else ""

    def _record_failure(self, table: str, problem: str) -> None:
        """Remember why a table fails; log it when the reason is new, as it is tried again after every pause."""
        if self._failing.get(table) != problem:
            log.error("the table is not loaded; it is tried again", table=table, reason=problem)
        self._failing[table] = problem
        self._resting.add(table)

    def _step_with_retries(self, loader: TableLoader) -> Loaded:
        """Take a step; after a transient failure try again, on a new connection and from the recorded progress."""

        def step() -> Loaded:
            try:
                return loader.step()
            except BaseException as error:
                loader.forget()
                if isinstance(error, WarehouseError):
                    self._warehouse.disconnect()
                    self._metrics.failed(loader.name, "transient" if error.transient else "lasting")
                elif isinstance(error, CardwatchError):
                    self._metrics.failed(loader.name, "source")
                raise

        return Retrying(
            retry=retry_if_exception(_is_transient),
            wait=load_pause(self._max_first_pause_seconds),
            stop=lambda state: self._shutdown.requested or stop_after_attempt(_ATTEMPTS)(state),
            sleep=self._pause,
            before_sleep=lambda state: _log_retry(loader.name, state),
            reraise=True,
        )(step)

    def _pause(self, seconds: float) -> None:
        self._shutdown.wait(seconds)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, WarehouseError) and error.transient


def _log_retry(table: str, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("a load did not succeed and is tried again", table=table, reason=str(error))
