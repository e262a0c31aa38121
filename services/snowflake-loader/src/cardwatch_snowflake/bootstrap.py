"""The one place where the loader's parts are put together."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import ALL_TABLES, Table
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get as get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.shutdown import Shutdown

from cardwatch_snowflake import session
from cardwatch_snowflake.delta_source import DeltaSource, Limits
from cardwatch_snowflake.errors import WarehouseError
from cardwatch_snowflake.loader import TableLoader
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.service import LoaderService
from cardwatch_snowflake.settings import LoaderSettings, SnowflakeSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse

log = get_logger(__name__)


def run(
    service: ServiceSettings, snowflake: SnowflakeSettings, own: LoaderSettings, shutdown: Shutdown, *, once: bool
) -> None:
    """Load until the stop is asked for, or, with ``once``, until there is nothing left to load.

    Raises:
        CardwatchError: it cannot start, or, with ``once``, a table could not be loaded.
    """
    tables = chosen_tables(own)
    with connected(snowflake, patient=not once) as warehouse:
        shared = Metrics()
        loader = make_service(tables, warehouse, own, LoaderMetrics(shared), shutdown)
        endpoint = HealthEndpoint(
            shared.registry, ready=loader.not_ready, host=service.metrics_host, port=service.metrics_port
        )
        endpoint.start()
        try:
            log.info(
                "loader started",
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
        log.info("loader stops")


def make_service(
    tables: Sequence[Table],
    warehouse: SnowflakeWarehouse,
    own: LoaderSettings,
    metrics: LoaderMetrics,
    shutdown: Shutdown,
    clock: Callable[[], float] = time.monotonic,
    first_pause_seconds: float = 1.0,
) -> LoaderService:
    """The loop over some tables; ``first_pause_seconds`` is the longest one before a second attempt."""
    tables_dir = locate(own.tables_dir)
    limits = Limits(rows=own.chunk_rows, memory=own.memory)
    loaders = [
        TableLoader(
            table.name,
            table.key,
            DeltaSource(table.name, tables_dir.of(table.name), table.key, limits),
            warehouse,
            metrics,
            own.work_dir,
            clock,
        )
        for table in tables
    ]
    return LoaderService(loaders, warehouse, metrics, shutdown, own.poll_seconds, first_pause_seconds)


@contextmanager
def connected(snowflake: SnowflakeSettings, *, patient: bool = False) -> Iterator[SnowflakeWarehouse]:
    """A warehouse that answers, with CARDWATCH_LOADS in it; let go of in the end.

    Args:
        patient: give it even if it does not answer now but may in a moment.

    Raises:
        ConfigurationError: the settings are not complete, or Snowflake refuses them.
    """
    warehouse = SnowflakeWarehouse(partial(session.connect, session.connection_parameters(snowflake)))
    try:
        _open(warehouse, snowflake, patient=patient)
        yield warehouse
    finally:
        warehouse.disconnect()


def _open(warehouse: SnowflakeWarehouse, snowflake: SnowflakeSettings, *, patient: bool) -> None:
    try:
        warehouse.open()
    except WarehouseError as error:
        if error.transient and patient:
            log.warning("Snowflake does not answer; it is tried again with every load", reason=str(error))
            warehouse.disconnect()
            return
        raise ConfigurationError(
            f"{error}; see that the SNOWFLAKE_… settings are right and that the role may use "
            f"{snowflake.warehouse} and create tables and stages in {snowflake.database}.{snowflake.schema_name} "
            "(docs/snowflake.md)"
        ) from error


def chosen_tables(own: LoaderSettings) -> list[Table]:
    """The tables to load, in the order of their definition.

    Raises:
        ConfigurationError: one is named that does not exist or has no key.
    """
    loadable = {table.name: table for table in ALL_TABLES if table.key}
    gold = [table for table in loadable.values() if table.name.startswith("gold.")]
    names = own.table_names()
    for name in names:
        if name not in loadable:
            raise ConfigurationError(
                f"CARDWATCH_LOADER_TABLES names {name}; some of {', '.join(loadable)} would be right"
            )
    return [table for table in loadable.values() if table.name in names] if names else gold
