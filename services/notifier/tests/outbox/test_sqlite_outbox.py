"""Properties of the outbox in a SQLite file only."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_notifier.outbox.sqlite.sqlite_outbox import SqliteOutbox


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    box = SqliteOutbox(tmp_path / "outbox.db")
    box.attach("webhook", "there", 0)
    yield box
    box.close()


def test_every_commit_is_synced_to_the_disk(outbox: SqliteOutbox) -> None:
    assert outbox._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert outbox._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_full_disk_ends_in_a_sentence(outbox: SqliteOutbox, kit: Any) -> None:
    pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [kit.arrival(offset, f"n{offset}") for offset in range(200)]
    with pytest.raises(CardwatchError, match=r"cannot be written: database or disk is full"):
        outbox.accept(many, ["webhook"], now=5)
    assert outbox.positions() == {}


def test_another_schema_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    SqliteOutbox(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="schema 99 of a newer Cardwatch"):
        SqliteOutbox(path)


def test_opening_an_outbox_for_reading_does_not_create_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no outbox at"):
        SqliteOutbox(tmp_path / "o.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.write_text("these are my notes, not a database; " * 100)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        SqliteOutbox(path)
