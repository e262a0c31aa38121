"""The command line: what a person sees, and what Snowflake is called with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.tables import GOLD_ALERTS, Table
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_snowflake import main, session
from cardwatch_snowflake.dependencies import Dependencies
from cardwatch_snowflake.settings import LoaderSettings, SnowflakeSettings
from cardwatch_snowflake.tables import choose_tables
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
    """A complete one."""
    for name in ("SNOWFLAKE_PRIVATE_KEY_FILE", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "SNOWFLAKE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def invoke(*arguments: str, **dependencies: Any) -> Any:
    """Run a command without changing the test run's signal handlers and logging."""
    own = {"make_shutdown": Shutdown, "configure_logs": lambda *_: None, **dependencies}
    return CliRunner().invoke(main.app, list(arguments), obj=Dependencies(**own))


def choose_rates(_: LoaderSettings) -> list[Table]:
    return [RATES]


@pytest.mark.parametrize("command", [("run",), ("status",), ("reload", "gold.alerts")])
def test_without_an_account_the_loader_is_off(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.delenv("SNOWFLAKE_ACCOUNT")
    result = invoke(*command)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: the Snowflake loader is off: SNOWFLAKE_ACCOUNT is not set")
    assert "Traceback" not in result.stderr


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOWFLAKE_SCHEMA")
    monkeypatch.delenv("SNOWFLAKE_WAREHOUSE")
    result = invoke("run")
    assert "SNOWFLAKE_ACCOUNT is set, but not SNOWFLAKE_WAREHOUSE, SNOWFLAKE_SCHEMA" in result.stderr


def test_neither_key_nor_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOWFLAKE_PASSWORD")
    assert "one of them, not both" in invoke("run").stderr


def test_a_refused_login_is_one_sentence() -> None:
    def refuse(_: Any) -> Any:
        raise errors.DatabaseError("Incorrect username or password was specified.", errno=250001)

    result = invoke("run", connect=refuse)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: Snowflake: 250001: Incorrect username or password was specified.")
    assert "docs/snowflake.md" in last
    assert ENVIRONMENT["SNOWFLAKE_PASSWORD"] not in result.stderr


def test_run_waits_for_a_snowflake_that_does_not_answer(
    make_replication: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replication = make_replication(RATES)
    replication.lake.write(RATES, [{"id": "a", "rate": 1}])
    answers = [errors.OperationalError("could not connect", errno=250001)]
    shutdown = Shutdown()

    def connect(_: Any) -> Any:
        if answers:
            raise answers.pop()
        replication.account.after = lambda statement: shutdown.request() if statement.startswith("DROP") else None
        return replication.account.connect()

    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(replication.lake.directory))
    result = invoke("run", connect=connect, choose_tables=choose_rates, make_shutdown=lambda: shutdown)
    assert result.exit_code == 0, result.stderr
    assert not answers
    assert replication.account.recorded(RATES)["SNAPSHOT_VERSION"] == 0  # it had begun when it was stopped


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
        session.connection_parameters(load_settings(SnowflakeSettings))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "open sesame")
    parameters = session.connection_parameters(load_settings(SnowflakeSettings))
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
        session.connection_parameters(load_settings(SnowflakeSettings))


def test_tables() -> None:
    assert GOLD_ALERTS in choose_tables(LoaderSettings())
    assert all(table.name.startswith("gold.") for table in choose_tables(LoaderSettings()))
    assert choose_tables(LoaderSettings(tables="gold.alerts,")) == [GOLD_ALERTS]
    with pytest.raises(
        ConfigurationError, match=r"CARDWATCH_LOADER_TABLES: expected some of .*gold\.alerts.* got gold\.alert$"
    ):
        choose_tables(LoaderSettings(tables="gold.alert"))


def test_the_lakehouses_directory_serves_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARDWATCH_LOADER_TABLES_DIR", raising=False)
    monkeypatch.setenv("CARDWATCH_LAKEHOUSE_TABLES_DIR", "s3a://lake/tables")
    assert load_settings(LoaderSettings).tables_dir == "s3a://lake/tables"
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", "/here")
    assert load_settings(LoaderSettings).tables_dir == "/here"


def test_run_once_status_and_reload(make_replication: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    replication = make_replication(RATES)
    replication.lake.write(RATES, [{"id": "a", "rate": 1}, {"id": "b", "rate": 2}])
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(replication.lake.directory))

    def invoke_here(*arguments: str) -> Any:
        return invoke(*arguments, connect=lambda _: replication.account.connect(), choose_tables=choose_rates)

    result = invoke_here("run", "--once")
    assert result.exit_code == 0, result.stderr
    replication.check_equal()

    result = invoke_here("status")
    head, _, row = (line for line in result.stdout.splitlines() if line.strip())
    assert head.split()[:2] == ["table", "version"]
    assert row.split()[:2] == ["gold.rates", "0"]
    assert row.split()[4:6] == ["2", "0"]

    assert invoke_here("reload", "gold.rates").stdout.startswith("gold.rates will be loaded again as a whole")
    assert replication.account.recorded(RATES)["DELTA_VERSION"] is None
    result = invoke_here("reload", "gold.nothing")
    assert result.exit_code == 2
    assert "gold.rates" in result.stderr
    assert invoke_here("run", "--once").exit_code == 0
    replication.check_equal()


def test_run_once_fails_if_a_table_cannot_be_loaded(
    make_replication: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replication = make_replication(RATES)
    replication.lake.write(RATES, [{"id": "a", "rate": 1}])
    (replication.lake.directory / "gold/rates/_delta_log/00000000000000000000.json").write_text("not JSON")
    monkeypatch.setenv("CARDWATCH_LOADER_TABLES_DIR", str(replication.lake.directory))
    result = invoke("run", "--once", connect=lambda _: replication.account.connect(), choose_tables=choose_rates)
    assert result.exit_code == 1
    assert "error: gold.rates: the table gold.rates cannot be read" in result.stderr
