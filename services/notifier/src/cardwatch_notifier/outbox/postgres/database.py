"""Where the outbox's database is, how to connect to it, and which of its errors are transient."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Final

import psycopg
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from cardwatch_notifier.outbox.postgres.server_verification import verification
from cardwatch_notifier.outbox.protocol import OutboxDataError, OutboxUnavailableError

_SHOWN_PARAMETERS: Final = ("user", "host", "port", "dbname")
_SCHEMES: Final = ("postgresql://", "postgres://")
# A dead connection is detected after about 15 seconds, unless the URL sets other values.
_DEFAULTS: Final = {
    "fallback_application_name": "cardwatch-notifier",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
# Timeouts, so that a client that is gone or hangs cannot hold locks for long. Every commit is synced to the disk, even
# if the role's default is off; whether a commit waits for replicas is left to the role.
_SESSION: Final = """
    SELECT set_config('lock_timeout', '10s', false), set_config('statement_timeout', '30s', false),
           set_config('idle_in_transaction_session_timeout', '30s', false),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
               WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""

_TLS_HINT: Final = (
    "; expected a server whose certificate is valid for that host and signed by an authority in "
    "CARDWATCH_NOTIFIER_OUTBOX_SSL_CA_LOCATION, or another sslmode in CARDWATCH_NOTIFIER_OUTBOX_URL"
)


class Database:
    """A PostgreSQL database, named by a libpq URL."""

    def __init__(self, url: str, password: Callable[[], str], ca_location: str = "") -> None:
        """Take a database from its URL; nothing connects yet.

        Args:
            password: called at every connection, so that it may be rotated; empty: the URL's, or libpq's defaults.
            ca_location: PEM file of the authorities that may sign the server's certificate; empty for the system's.

        Raises:
            ConfigurationError: the URL cannot be used. The message does not quote it: it may hold a password.
        """
        try:
            usable = url.startswith(_SCHEMES)
            self._parameters: Final = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            usable = False
        if not usable:
            raise ConfigurationError(
                "CARDWATCH_NOTIFIER_OUTBOX_URL cannot be used; expected a URL such as "
                "postgresql://user@host:5432/database (its value is not shown: it may hold a password)"
            )
        self._password: Final = password
        self._tls: Final = verification(self._parameters, ca_location)

    @property
    def name(self) -> str:
        """Where it is, without any secret."""
        (user, hosts, ports, database) = (str(self._parameters.get(one) or "") for one in _SHOWN_PARAMETERS)
        at = (host + (f":{port}" if port else "") for host, port in zip_longest(hosts.split(","), ports.split(",")))
        return f"postgresql://{user}{'@' if user else ''}{','.join(at)}/{database}"

    def parameters(self) -> dict[str, Any]:
        """The keyword arguments of ``psycopg.connect``."""
        password = self._password()
        return {
            **_DEFAULTS,
            **self._parameters,
            **self._tls,
            **({"password": password} if password else {}),
            "autocommit": True,
        }

    def connect(self) -> Connection[tuple[Any, ...]]:
        """A connection of its own.

        Raises:
            OutboxUnavailableError: the database does not answer, or refuses the login.
        """
        parameters = self.parameters()
        with translated(self.name):
            return psycopg.connect(**parameters)


def prepare_session(connection: Connection[Any]) -> None:
    """Set what the outbox's statements rely on."""
    connection.execute(_SESSION)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Translate PostgreSQL's errors.

    Raises:
        OutboxUnavailableError: the error is transient: a restart, a failover, a full disk, a lock timeout.
        OutboxDataError: a value cannot be held: of a wrong encoding, too large for an index, against a constraint.
        CardwatchError: any other error.
    """
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
        # Not the server's sentence, which may quote the value.
        code = error.sqlstate or type(error).__name__
        raise OutboxDataError(f"the outbox at {name} cannot hold a value (SQLSTATE {code})") from error
    # A primary that was demoted answers, but takes no writes: the next connection finds the new one.
    except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
        sentence = _sentence(error)
        hint = _TLS_HINT if "SSL" in sentence or "certificate" in sentence else ""
        raise OutboxUnavailableError(f"the outbox at {name} does not answer: {sentence}{hint}") from error
    except psycopg.Error as error:
        raise CardwatchError(
            f"the outbox at {name} cannot be used: {_sentence(error)}; the role needs its tables as "
            "`cardwatch-notifier outbox migrate` makes them, and the right to read and write them"
        ) from error


def _sentence(error: psycopg.Error) -> str:
    (first, *_) = (error.diag.message_primary or str(error)).splitlines() or [type(error).__name__]
    return first.strip()
