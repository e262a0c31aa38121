"""The schema on PostgreSQL: repeated and concurrent migrations, and versions that do not match."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_notifier.main import app
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.postgres_outbox import PostgresOutbox
from cardwatch_notifier.outbox.postgres.schema import REVISION, advisory_key, migrate
from typer.testing import CliRunner

TABLES = {"outbox", "outbox_version", "positions", "alerts", "messages", "deliveries", "receivers"}


class Fresh:
    """A test's own empty database."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.name = server.new_database()
        self.url = server.url(self.name)
        self.database = Database(self.url, lambda: "")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._server.execute(query, self.name)
        return rows

    def tables(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def open(self) -> None:
        PostgresOutbox(self.database, 30).close()


@pytest.fixture
def fresh(postgres: Any) -> Fresh:
    return Fresh(postgres)


def test_an_empty_database_becomes_an_outbox_and_stays_one(fresh: Fresh) -> None:
    with pytest.raises(ConfigurationError, match="has no schema yet: run `cardwatch-notifier outbox migrate` first"):
        fresh.open()
    assert migrate(fresh.database) == ("", REVISION)
    assert fresh.tables() == TABLES
    identity = fresh.rows("SELECT instance_id FROM outbox")
    assert migrate(fresh.database) == (REVISION, REVISION)
    assert fresh.rows("SELECT instance_id FROM outbox") == identity
    fresh.open()


def waiting(connection: Any) -> int:
    """The number of sessions that wait for an advisory lock."""
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
    return int(row[0])


@pytest.mark.faults
def test_several_that_migrate_at_once_make_one_schema(fresh: Fresh, kit: Any) -> None:
    environment = {**os.environ, "CARDWATCH_NOTIFIER_OUTBOX_URL": fresh.url}
    command = [Path(sys.executable).with_name("cardwatch-notifier"), "outbox", "migrate"]
    with fresh.database.connect() as connection, ThreadPoolExecutor(1) as here:
        with connection.transaction():
            connection.execute(f"SELECT pg_advisory_xact_lock({advisory_key('migration')})")
            elsewhere = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            migration = here.submit(migrate, fresh.database)
            kit.wait_until(lambda: waiting(connection) == 2, 60)
            assert fresh.tables() == set()
        assert (migration.result(60), elsewhere.wait(60)) == (("", REVISION), 0)
    assert fresh.rows("SELECT count(*) FROM outbox") == [(1,)]
    fresh.open()


def test_a_migration_that_fails_leaves_nothing_behind(fresh: Fresh) -> None:
    fresh.rows("CREATE TABLE receivers (somebody_elses text)")
    with pytest.raises(CardwatchError, match='relation "receivers" already exists'):
        migrate(fresh.database)
    assert fresh.tables() == {"receivers"}
    fresh.rows("DROP TABLE receivers")
    migrate(fresh.database)
    fresh.open()


def test_a_newer_schema_is_refused_with_a_sentence(fresh: Fresh) -> None:
    migrate(fresh.database)
    fresh.rows("UPDATE outbox_version SET version_num = '9999'")
    for refused in (fresh.open, lambda: migrate(fresh.database)):
        with pytest.raises(
            ConfigurationError, match=f"has schema 9999 of a newer Cardwatch, this one works with {REVISION}"
        ):
            refused()


def test_an_older_schema_is_refused_with_a_sentence(fresh: Fresh) -> None:
    migrate(fresh.database)
    with pytest.raises(ConfigurationError, match=r"has schema 0001 of an older Cardwatch, .* run .* migrate` first"):
        PostgresOutbox(fresh.database, 30, revision="0002")


def test_a_schema_of_its_own_in_a_shared_database(fresh: Fresh) -> None:
    fresh.rows("CREATE SCHEMA notifier")
    migrate(Database(f"{fresh.url}&options=-csearch_path%3Dnotifier", lambda: ""))
    assert fresh.tables() == set()
    assert fresh.rows("SELECT count(*) FROM notifier.outbox") == [(1,)]


def test_the_scripts_are_numbered_on_and_the_newest_is_this_versions() -> None:
    config = Config()
    config.set_main_option("script_location", "cardwatch_notifier.outbox.postgres:migrations")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert scripts[0].revision == REVISION
    assert [script.revision for script in scripts] == [f"{number:04}" for number in range(len(scripts), 0, -1)]


class TestCommand:
    @pytest.fixture(autouse=True)
    def _settings(self, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_URL", fresh.url)

    def test_migrate_says_what_it_did(self, fresh: Fresh) -> None:
        results = [CliRunner().invoke(app, ["outbox", "migrate"]) for _ in range(2)]
        assert [result.exit_code for result in results] == [0, 0]
        assert results[0].stdout.endswith(f"/{fresh.name} was brought from nothing to schema {REVISION}\n")
        assert results[1].stdout.endswith(f"/{fresh.name} is up to date: schema {REVISION}\n")

    @pytest.mark.parametrize("command", [["outbox", "status"], ["outbox", "retry"]])
    def test_without_a_schema_a_command_ends_in_a_sentence(self, command: list[str]) -> None:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1
        assert "has no schema yet" in result.stderr
        assert "Traceback" not in result.stderr

    @pytest.mark.parametrize("command", ["migrate", "status"])
    def test_a_database_that_is_not_there_ends_in_a_sentence(
        self, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_URL", "postgresql://u@127.0.0.1:1/d")
        result = CliRunner().invoke(app, ["outbox", command])
        assert result.exit_code == 1
        assert "the outbox at postgresql://u@127.0.0.1:1/d does not answer" in result.stderr
        assert "Connection refused" in result.stderr


def test_a_sqlite_outbox_has_nothing_to_migrate(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_PATH", str(tmp_path / "outbox.db"))
    result = CliRunner().invoke(app, ["outbox", "migrate"])
    assert (result.exit_code, result.stdout.split(":")[0]) == (
        0, f"nothing to do for the SQLite outbox {tmp_path / 'outbox.db'}",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
