"""What the commands reach outside of this process, so that tests may replace it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cardwatch_lakehouse.tables import Table
from cardwatch_service import logs
from cardwatch_service.shutdown import Shutdown

from cardwatch_snowflake import session
from cardwatch_snowflake.settings import LoaderSettings
from cardwatch_snowflake.snowflake_warehouse import Connection
from cardwatch_snowflake.tables import choose_tables


def stop_on_signals() -> Shutdown:
    """A shutdown that SIGTERM and Ctrl-C request."""
    return Shutdown().install()


@dataclass(frozen=True)
class Dependencies:
    """The command line's context may hold others (``obj``).

    Attributes:
        connect: opens a session of Snowflake with connection parameters.
        choose_tables: the tables to load, by the settings.
        make_shutdown: what asks a running loader to stop.
        configure_logs: called with the service's name, the level and the format.
    """

    connect: Callable[[dict[str, Any]], Connection] = session.connect
    choose_tables: Callable[[LoaderSettings], Sequence[Table]] = choose_tables
    make_shutdown: Callable[[], Shutdown] = stop_on_signals
    configure_logs: Callable[[str, str, str], None] = logs.configure_logging
