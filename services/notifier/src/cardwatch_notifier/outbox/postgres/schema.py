"""The schema of the outbox on PostgreSQL: which version there is, and how to bring it up to this one.

The migrations are Alembic's (``migrations/``). Only ``migrate`` needs Alembic; a notifier that starts compares numbers.
"""

from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from psycopg import Connection
from psycopg.errors import UndefinedTable

from cardwatch_notifier.outbox.postgres.database import Database, translated

REVISION: Final = "0001"
"""The schema that this version of the notifier works with: the number of the newest migration."""
VERSION_TABLE: Final = "outbox_version"

_COMMAND: Final = "`cardwatch-notifier outbox migrate`"


def advisory_key(purpose: str) -> str:
    """An SQL expression: the advisory lock's key for a purpose, different for each schema of a database."""
    return f"hashtextextended('cardwatch-notifier {purpose} ' || current_schema(), 0)"


def lock(connection: Any) -> None:
    """Wait until nobody else migrates, and keep others waiting for the rest of the (SQLAlchemy) transaction."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({advisory_key('migration')})")


def migrate(database: Database) -> tuple[str, str]:
    """Bring the schema up to date: all of it or nothing, one at a time. Does nothing where it is.

    Returns:
        The versions before and after; empty for no schema at all.

    Raises:
        OutboxUnavailableError: the database does not answer.
        ConfigurationError: a newer version made the schema.
        CardwatchError: the role may not change it.
    """
    # Imported here: Alembic and SQLAlchemy are large, and a running notifier does not need them.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    with database.connect() as connection:
        before = revision(connection, database.name)
    if before > REVISION:
        raise _too_new(database.name, before)
    config = Config()
    config.set_main_option("script_location", "cardwatch_notifier.outbox.postgres:migrations")

    def connect() -> Connection[Any]:
        connection = database.connect()
        connection.autocommit = False  # SQLAlchemy says when a transaction ends
        return connection

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with translated(database.name):
        try:
            with engine.connect() as alchemy:
                config.attributes["connection"] = alchemy
                command.upgrade(config, REVISION)
        except DBAPIError as error:
            raise (error.orig or error) from error
    return before, REVISION


def check(connection: Connection[Any], name: str, wanted: str = REVISION) -> None:
    """Check that the schema of the database ``name`` is the one that this version works with.

    Raises:
        ConfigurationError: it is not there, older or newer; says what to do.
    """
    found = revision(connection, name)
    if found > wanted:
        raise _too_new(name, found)
    if not found:
        raise ConfigurationError(f"the outbox at {name} has no schema yet: run {_COMMAND} first")
    if found < wanted:
        raise ConfigurationError(
            f"the outbox at {name} has schema {found} of an older Cardwatch, this one works with {wanted}: "
            f"run {_COMMAND} first"
        )


def revision(connection: Connection[Any], name: str) -> str:
    """The schema's version, empty where there is none."""
    with translated(name):
        try:
            row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
        except UndefinedTable:
            return ""
    return str(row[0]) if row else ""


def _too_new(name: str, found: str) -> ConfigurationError:
    return ConfigurationError(
        f"the outbox at {name} has schema {found} of a newer Cardwatch, this one works with {REVISION}: "
        "start the version that made it, or a later one"
    )
