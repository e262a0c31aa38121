"""Opening the warehouse, for the length of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.logs import get_logger

from cardwatch_snowflake.dependencies import Dependencies
from cardwatch_snowflake.errors import WarehouseError
from cardwatch_snowflake.session import connection_parameters
from cardwatch_snowflake.settings import SnowflakeSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse

log = get_logger(__name__)


@contextmanager
def connected(
    snowflake: SnowflakeSettings, dependencies: Dependencies, *, may_wait: bool = False
) -> Iterator[SnowflakeWarehouse]:
    """A warehouse that answers, with CARDWATCH_LOADS in it; disconnected in the end.

    Args:
        may_wait: return the warehouse even if Snowflake does not answer now, when the failure may pass.

    Raises:
        ConfigurationError: the settings are not complete, or Snowflake refuses them.
    """
    warehouse = SnowflakeWarehouse(partial(dependencies.connect, connection_parameters(snowflake)))
    try:
        _open(warehouse, snowflake, may_wait=may_wait)
        yield warehouse
    finally:
        warehouse.disconnect()


def _open(warehouse: SnowflakeWarehouse, snowflake: SnowflakeSettings, *, may_wait: bool) -> None:
    try:
        warehouse.open()
    except WarehouseError as error:
        if error.transient and may_wait:
            log.warning("Snowflake does not answer; it is tried again with every load", reason=str(error))
            warehouse.disconnect()
            return
        raise ConfigurationError(
            f"{error}; check that the SNOWFLAKE_… settings are right and that the role may use "
            f"{snowflake.warehouse} and create tables and stages in {snowflake.database}.{snowflake.schema_name} "
            "(docs/snowflake.md)"
        ) from error
