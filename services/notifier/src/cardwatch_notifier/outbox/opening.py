"""Opens and migrates the outbox that the settings name: a SQLite file, or a PostgreSQL database."""

from typing import TYPE_CHECKING

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.secret_files import close_secret_file

from cardwatch_notifier.outbox.protocol import Outbox
from cardwatch_notifier.outbox.sqlite.sqlite_outbox import SqliteOutbox
from cardwatch_notifier.settings import OutboxSettings

if TYPE_CHECKING:
    from cardwatch_notifier.outbox.postgres.database import Database


def open_outbox(settings: OutboxSettings, *, create: bool = True) -> Outbox:
    """Open the outbox.

    Args:
        create: create a missing SQLite file; only ``migrate_outbox`` creates the schema of a PostgreSQL database.

    Raises:
        ConfigurationError: the outbox does not exist, or another version of Cardwatch created it.
        OutboxUnavailableError: its database does not answer.
    """
    if not settings.outbox_url:
        return SqliteOutbox(settings.outbox_path, create=create)
    # Imported here: these modules are large, and SQLite does not need them.
    from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox

    return PostgresOutbox(_database(settings), settings.outbox_lease_seconds)


def migrate_outbox(settings: OutboxSettings) -> str:
    """Bring the schema of the outbox's database up to date. Returns a sentence that says what was done.

    Raises:
        ConfigurationError: a newer version of Cardwatch made the schema.
        CardwatchError: the database does not answer, or the role lacks a right.
    """
    if not settings.outbox_url:
        return (
            f"nothing to do for the SQLite outbox {settings.outbox_path}: `cardwatch-notifier run` brings it up to "
            "date; CARDWATCH_NOTIFIER_OUTBOX_URL names a PostgreSQL one"
        )
    from cardwatch_notifier.outbox.postgres.schema import migrate

    database = _database(settings)
    (before, after) = migrate(database)
    if before == after:
        return f"the outbox at {database.name} is up to date: schema {after}"
    was = f"schema {before}" if before else "nothing"
    return f"the outbox at {database.name} was brought from {was} to schema {after}"


def outbox_location(settings: OutboxSettings) -> str:
    """Where the outbox is, without any secret."""
    return _database(settings).name if settings.outbox_url else str(settings.outbox_path)


def _database(settings: OutboxSettings) -> "Database":
    from cardwatch_notifier.outbox.postgres.database import Database

    return Database(settings.outbox_url, lambda: _password(settings), settings.outbox_ssl_ca_location)


def _password(settings: OutboxSettings) -> str:
    file = settings.outbox_password_file
    if file is None:
        return settings.outbox_password.get_secret_value()
    close_secret_file(file)
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"the password file {file} cannot be read: {error.strerror}; "
            "CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE must name one that the notifier may read"
        ) from error
