"""Pooled connections to the outbox's database, and what is known of its health from the calls that use them."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from cardwatch_contracts.errors import CardwatchError
from psycopg import Connection
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import ConnectionPool, PoolClosed

from cardwatch_notifier.outbox.postgres.database import Database, prepare_session, translated
from cardwatch_notifier.outbox.protocol import OutboxUnavailableError

_MAX_CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a database counts as away.

    Attributes:
        connection_seconds: how long a caller waits for a connection before it gets an error; a stop may wait as long.
        slow_call_seconds: a call that takes longer is not given up, but reported as a problem: the server hangs.
    """

    connection_seconds: float = 3.0
    slow_call_seconds: float = 5.0


class OutboxConnections:
    """A pool of connections that translates errors and remembers the last problem."""

    def __init__(self, database: Database, timeouts: Timeouts) -> None:
        self._name: Final = database.name
        self._timeouts: Final = timeouts
        self._problem = ""
        self._calls: dict[object, float] = {}  # calls under way, and since when (time.monotonic)
        self.pool: Final = ConnectionPool(
            kwargs=database.parameters,
            configure=prepare_session,
            min_size=1,
            max_size=_MAX_CONNECTIONS,
            timeout=timeouts.connection_seconds,
            # The pool gives up soon and tries again at the next request: its own pauses grow to minutes.
            reconnect_timeout=timeouts.connection_seconds,
            name="outbox",
            open=True,
        )

    def problem(self) -> str:
        """Why the database could not be used the last time, one sentence; empty where it could."""
        waited = time.monotonic() - min(self._calls.copy().values(), default=math.inf)
        if waited > self._timeouts.slow_call_seconds:
            return f"the outbox at {self._name} has not answered for {waited:.0f} s"
        return self._problem

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection from the pool; each statement is a transaction.

        Raises:
            OutboxUnavailableError: the database does not answer.
            CardwatchError: the outbox was closed, or the role lacks a right.
        """
        call = object()
        self._calls[call] = time.monotonic()
        try:
            with translated(self._name), self.pool.connection() as connection:
                try:
                    yield connection
                except psycopg.Error as error:
                    if connection.closed or isinstance(error, ReadOnlySqlTransaction):
                        # The other connections lead to the same server, which is gone or is no longer the primary.
                        self.pool.drain()
                    raise
        except OutboxUnavailableError as error:
            if isinstance(error.__cause__, PoolClosed):
                raise CardwatchError(f"the outbox at {self._name} was closed") from error
            self._problem = str(error)
            raise
        finally:
            del self._calls[call]
        self._problem = ""

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A connection on which all statements are one transaction. Raises as ``connection`` does."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()
