"""The command line: what a person sees, and what Snowflake is called with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.tables import GOLD_ALERTS, Table
from cardwatch_service.settings import load
from cardwatch_snowflake import bootstrap, main, session
from cardwatch_snowflake.settings import LoaderSettings, SnowflakeSettings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from snowflake.connector import errors
from typer.testing import CliRunner

ENVIRONMENT: Final = {
    "SNOWFLAKE_ACCOUNT": "org-account",
    "SNOWFLAKE_USER": "CARDWATCH_LOADER",
    "SNOWFLAKE_PASSWORD": "not for anybody's eyes",
    "SNOWFLAKE_ROLE": "CARDWATCH_LOADER",
    "SNOWFLAKE_WAREHOUSE": "CARDWATCH_LOADER",
    "SNOWFLAKE_DATABASE": "CARDWATCH",
    "SNOWFLAKE_SCHEMA": "GOLD",
}
RATES: Final = Table("gold.rates", {"id": "STRING", "rate": "BIGINT"}, key=("id",))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete one; signals and logging stay the test run's own."""
    monkeypatch.setattr(main.Shutdown, "install", lambda shutdown: shutdown)
    monkeypatch.setattr(main.logs, "configure", lambda *_: None)
    for name in ("SNOWFLAKE_PRIVATE_KEY_FILE", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "SNOWFLAKE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(main.app, list(arguments))


@pytest.mark.parametrize("command", [("run",), ("status",), ("reload", "gold.alerts")])
def test_without_an_account_the_loader_is_off(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.delenv("SNOWFLAKE_ACCOUNT")
    result = invoke(*command)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: the Snowflake loader is off: SNOWFLAKE_ACCOUNT is not set")
    assert "Traceback" not in result.stderr


def test_what_else_is_needed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOWFLAKE_SCHEMA")
    monkeypatch.delenv("SNOWFLAKE_WAREHOUSE")
    result = invoke("run")
    assert "SNOWFLAKE_ACCOUNT is set, but not SNOWFLAKE_WAREHOUSE, SNOWFLAKE_SCHEMA" in result.stderr


def test_neither_key_nor_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    assert "one of them, not both" in invoke("run").stderr


def test_a_refused_login_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> Any:
        raise errors.DatabaseError("Incorrect username or password was specified.", errno=250001)

    monkeypatch.setattr(session, "connect", refuse)
    result = invoke("run")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: Snowflake: 250001: Incorrect username or password was specified.")
    assert "docs/snowflake.md" in last
    assert ENVIRONMENT["SNOWFLAKE_PASSWORD"] not in result.stderr


def test_a_snowflake_that_is_away_is_waited_for(make_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    line = make_line(RATES)
    line.lake.write(RATES, [{"id": "a", "rate": 1}])
    answers = [errors.OperationalError("could not connect", errno=250001)]
    shutdown = main.Shutdown()

    def connect(_: Any) -> Any:
        if answers:
            raise answers.pop()
        line.account.after = lambda statement: shutdown.request() if statement.startswith("DROP") else None
        return line.account.connect()

    monkeypatch.setattr(session, "connect", connect)
    monkeypatch.setattr(bootstrap, "chosen_tables", lambda _: [RATES])
    monkeypatch.setattr(main, "Shutdown", lambda: shutdown)
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(line.lake.directory))
    result = invoke("run")
    assert result.exit_code == 0, result.stderr
    assert not answers
    assert line.account.recorded(RATES)["SNAPSHOT_VERSION"] == 0  # it had begun when it was stopped


def test_a_key_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Snowflake wants RSA; making an elliptic one takes no time, and reading it is the same.
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.p8"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_FILE", str(path))
    with pytest.raises(ConfigurationError, match="SNOWFLAKE_PRIVATE_KEY_PASSPHRASE opens"):
        session.connection_parameters(load(SnowflakeSettings))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "open sesame")
    parameters = session.connection_parameters(load(SnowflakeSettings))
    assert serialization.load_der_private_key(parameters["private_key"], None).private_numbers() == (
        key.private_numbers()
    )
    assert parameters["authenticator"] == "SNOWFLAKE_JWT"
    assert "password" not in parameters
    assert (parameters["database"], parameters["schema"], parameters["role"]) == (
        "CARDWATCH",
        "GOLD",
        "CARDWATCH_LOADER",
    )
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        session.connection_parameters(load(SnowflakeSettings))


def test_tables() -> None:
    assert GOLD_ALERTS in bootstrap.chosen_tables(LoaderSettings())
    assert all(table.name.startswith("gold.") for table in bootstrap.chosen_tables(LoaderSettings()))
    assert bootstrap.chosen_tables(LoaderSettings(tables="gold.alerts,")) == [GOLD_ALERTS]
    with pytest.raises(ConfigurationError, match=r"CARDWATCH_LOADER_TABLES names gold\.alert; some of .*gold\.alerts"):
        bootstrap.chosen_tables(LoaderSettings(tables="gold.alert"))


def test_the_lakehouses_directory_serves_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARDWATCH_LOADER_TABLES_DIR", raising=False)
    monkeypatch.setenv("CARDWATCH_LAKEHOUSE_TABLES_DIR", "s3a://lake/tables")
    assert load(LoaderSettings).tables_dir == "s3a://lake/tables"
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", "/here")
    assert load(LoaderSettings).tables_dir == "/here"


def test_run_once_status_and_reload(make_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    line = make_line(RATES)
    line.lake.write(RATES, [{"id": "a", "rate": 1}, {"id": "b", "rate": 2}])
    monkeypatch.setattr(session, "connect", lambda _: line.account.connect())
    monkeypatch.setattr(bootstrap, "chosen_tables", lambda _: [RATES])
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(line.lake.directory))

    result = invoke("run", "--once")
    assert result.exit_code == 0, result.stderr
    line.check_equal()

    result = invoke("status")
    (head, row) = result.stdout.splitlines()
    assert head.split()[:2] == ["table", "version"]
    assert row.split()[:2] == ["gold.rates", "0"]
    assert " 2         0" in row

    assert invoke("reload", "gold.rates").stdout.startswith("gold.rates is loaded whole again")
    assert line.account.recorded(RATES)["DELTA_VERSION"] is None
    result = invoke("reload", "gold.nothing")
    assert result.exit_code == 2
    assert "gold.rates" in result.stderr
    assert invoke("run", "--once").exit_code == 0
    line.check_equal()


def test_once_fails_if_a_table_does(make_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    line = make_line(RATES)
    line.lake.write(RATES, [{"id": "a", "rate": 1}])
    (line.lake.directory / "gold/rates/_delta_log/00000000000000000000.json").write_text("not JSON")
    monkeypatch.setattr(session, "connect", lambda _: line.account.connect())
    monkeypatch.setattr(bootstrap, "chosen_tables", lambda _: [RATES])
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(line.lake.directory))
    result = invoke("run", "--once")
    assert result.exit_code == 1
    assert "error: gold.rates: the table gold.rates cannot be read" in result.stderr
