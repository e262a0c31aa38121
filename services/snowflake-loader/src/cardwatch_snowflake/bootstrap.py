"""The one place where the loader's parts are put together."""

import time
from collections.abc import Callable, Sequence

from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import Table
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.retry_pauses import MAX_FIRST_LOAD_SECONDS
from cardwatch_service.settings import ProcessSettings
from cardwatch_service.shutdown import Shutdown

from cardwatch_snowflake.connection import connected
from cardwatch_snowflake.delta_source import DeltaSource, Limits
from cardwatch_snowflake.dependencies import Dependencies
from cardwatch_snowflake.loader import TableLoader
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.service import LoaderService
from cardwatch_snowflake.settings import LoaderSettings, SnowflakeSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse

log = get_logger(__name__)


def run(
    service: ProcessSettings,
    snowflake: SnowflakeSettings,
    own: LoaderSettings,
    *,
    once: bool,
    dependencies: Dependencies,
) -> None:
    """Load until the stop is requested, or, with ``once``, until there is nothing left to load.

    Raises:
        CardwatchError: it cannot start, or, with ``once``, a table could not be loaded.
    """
    tables = dependencies.choose_tables(own)
    shutdown = dependencies.make_shutdown()
    with connected(snowflake, dependencies, may_wait=not once) as warehouse:
        shared = Metrics()
        loader = make_service(tables, warehouse, own, LoaderMetrics(shared), shutdown)
        endpoint = HealthEndpoint(
            shared.registry, ready=loader.not_ready, host=service.metrics_host, port=service.metrics_port
        )
        endpoint.start()
        try:
            log.info(
                "starting",
                metrics_port=endpoint.port,
                tables=[table.name for table in tables],
                from_=own.tables_dir,
                to=f"{snowflake.database}.{snowflake.schema_name}",
            )
            if once:
                loader.catch_up()
            else:
                loader.run()
        finally:
            endpoint.stop()
        log.info("stopped")


def make_service(
    tables: Sequence[Table],
    warehouse: SnowflakeWarehouse,
    own: LoaderSettings,
    metrics: LoaderMetrics,
    shutdown: Shutdown,
    *,
    clock: Callable[[], float] = time.monotonic,
    max_first_pause_seconds: float = MAX_FIRST_LOAD_SECONDS,
) -> LoaderService:
    """The loop over some tables; ``max_first_pause_seconds`` limits the random pause before a second attempt."""
    tables_dir = locate(own.tables_dir)
    limits = Limits(rows=own.chunk_rows, memory=own.memory)
    loaders = [
        TableLoader(
            table,
            DeltaSource(table.name, tables_dir.of(table.name), table.key, limits),
            warehouse,
            metrics,
            own.work_dir,
            clock,
        )
        for table in tables
    ]
    return LoaderService(loaders, warehouse, metrics, shutdown, own.poll_seconds, max_first_pause_seconds)
