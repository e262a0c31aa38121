"""The tables of the outbox in a SQLite file, and how a file is brought up to this version's schema.

The schema is versioned by ``PRAGMA user_version``; each entry of ``_MIGRATIONS`` leads from one version to the next.
"""

import sqlite3
from pathlib import Path
from typing import Final
from uuid import uuid4

from cardwatch_contracts.errors import ConfigurationError

_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE outbox (instance_id TEXT NOT NULL)",
        """CREATE TABLE positions (
            topic TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
            PRIMARY KEY (topic, topic_id, partition)
        ) WITHOUT ROWID""",
        # status and mode: of the last event; told and transitions: what receivers were notified of
        # (transitions.Notified)
        """CREATE TABLE alerts (
            alert_id TEXT PRIMARY KEY, rule_id TEXT NOT NULL, status TEXT NOT NULL, mode TEXT NOT NULL,
            told TEXT, transitions INTEGER NOT NULL, first_seen_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE messages (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL UNIQUE, alert_id TEXT NOT NULL,
            body TEXT NOT NULL, created_at INTEGER NOT NULL, event_time INTEGER NOT NULL,
            raw_broker_time INTEGER NOT NULL, detected_at INTEGER NOT NULL
        )""",
        "CREATE INDEX messages_by_age ON messages (created_at)",
        """CREATE TABLE deliveries (
            sequence INTEGER NOT NULL REFERENCES messages (sequence), receiver TEXT NOT NULL, alert_id TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
            attempts INTEGER NOT NULL DEFAULT 0, rejections INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER NOT NULL, last_attempt_at INTEGER, last_error TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (sequence, receiver)
        ) WITHOUT ROWID""",
        "CREATE INDEX deliveries_due ON deliveries (receiver, state, next_attempt_at, sequence)",
        "CREATE INDEX deliveries_in_order ON deliveries (receiver, alert_id, sequence, state)",
        """CREATE TABLE receivers (
            name TEXT PRIMARY KEY, target TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
            disabled_at INTEGER, disabled_reason TEXT NOT NULL DEFAULT ''
        ) WITHOUT ROWID""",
    ),
    ("ALTER TABLE messages ADD COLUMN trace_context TEXT",),
)
_VERSION: Final = len(_MIGRATIONS)


def check_version(connection: sqlite3.Connection, path: Path, *, may_upgrade: bool) -> int:
    """The schema's version, 0 for an empty file.

    Args:
        may_upgrade: accept an older schema.

    Raises:
        ConfigurationError: a newer version of Cardwatch wrote the file, or an older one and it may not be upgraded.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > _VERSION or (version < _VERSION and not may_upgrade):
        newer_or_older = "a newer" if version > _VERSION else "an older"
        raise ConfigurationError(
            f"the outbox {path} has schema {version} of {newer_or_older} Cardwatch, this one works with "
            f"{_VERSION}; start the notifier of the newest version once to bring it up to date"
        )
    return version


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring the schema from ``version`` up to date, within the caller's transaction."""
    for number, statements in enumerate(_MIGRATIONS[version:], start=version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
    if connection.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0:
        connection.execute("INSERT INTO outbox VALUES (?)", (str(uuid4()),))
