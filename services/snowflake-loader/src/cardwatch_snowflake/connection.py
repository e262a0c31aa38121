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
    snowflake: SnowflakeSettings, dependencies: Dependencies, *, patient: bool = False
) -> Iterator[SnowflakeWarehouse]:
    """A warehouse that answers, with CARDWATCH_LOADS in it; let go of in the end.

    Args:
        patient: give it even if it does not answer now but may in a moment.

    Raises:
        ConfigurationError: the settings are not complete, or Snowflake refuses them.
    """
    warehouse = SnowflakeWarehouse(partial(dependencies.connect, connection_parameters(snowflake)))
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
