"""Which of the lakehouse's tables are loaded."""

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.tables import ALL_TABLES, Table

from cardwatch_snowflake.settings import LoaderSettings


def choose_tables(own: LoaderSettings) -> list[Table]:
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
                f"CARDWATCH_LOADER_TABLES: expected some of {', '.join(loadable)}, separated by commas, got {name}"
            )
    return [table for table in loadable.values() if table.name in names] if names else gold
