"""For containers: the health check's probe, and secrets in files."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.commands import require_extra
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.probe import probe
from cardwatch_service.settings import SECRETS_DIR, ServiceSettings, load_settings
from cardwatch_service.token_settings import TokenSettings
from prometheus_client import CollectorRegistry


class Answers:
    """What the endpoint answers; empty means healthy."""

    ready = ""


@pytest.fixture
def endpoint() -> Iterator[HealthEndpoint]:
    served = HealthEndpoint(CollectorRegistry(), ready=lambda: Answers.ready, port=0)
    served.start()
    yield served
    served.stop()
    Answers.ready = ""


def test_a_ready_service_is_healthy(endpoint: HealthEndpoint) -> None:
    assert probe(endpoint.port, "/readyz") == (True, "ok")


def test_a_service_that_is_not_ready_reports_the_reason(endpoint: HealthEndpoint) -> None:
    Answers.ready = "the registry does not answer"
    assert probe(endpoint.port, "/readyz") == (False, "the registry does not answer")
    assert probe(endpoint.port, "/healthz") == (True, "ok")


def test_a_service_that_does_not_listen_is_unhealthy(endpoint: HealthEndpoint) -> None:
    endpoint.stop()
    well, answer = probe(endpoint.port, "/readyz")
    assert not well
    assert f"no answer from port {endpoint.port}" in answer


@pytest.mark.parametrize("ready", ["", "no"])
def test_the_exit_code_reports_health(endpoint: HealthEndpoint, ready: str) -> None:
    Answers.ready = ready
    environment = {"CARDWATCH_METRICS_PORT": str(endpoint.port)}
    command = [sys.executable, "-m", "cardwatch_service.probe"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == bool(ready)


@pytest.mark.parametrize("port", ["", "0", "x"])
def test_without_a_port_it_says_what_is_expected(port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cardwatch_service.probe"],
        env={"CARDWATCH_METRICS_PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CARDWATCH_METRICS_PORT" in done.stderr


def test_a_secret_is_read_from_its_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cardwatch_kafka_sasl_password").write_text("of the file\n")
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    assert load_settings(ServiceSettings).kafka_sasl_password.get_secret_value() == "of the file"
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_PASSWORD", "of the environment")
    assert load_settings(ServiceSettings).kafka_sasl_password.get_secret_value() == "of the environment"


def test_an_absent_directory_of_secrets_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="is not a directory; expected"):
        load_settings(ServiceSettings)


def test_a_wrong_secret_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cardwatch_token_key").write_text("not so secret")
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"CARDWATCH_TOKEN_KEY: .*hexadecimal") as raised:
        load_settings(TokenSettings)
    assert "not so secret" not in str(raised.value)


def test_a_module_that_is_not_installed_is_one_sentence() -> None:
    expected = r"needs the module nosuchmodule, which is not installed; install cardwatch-enricher\[bronze\]"
    with pytest.raises(ConfigurationError, match=expected), require_extra("cardwatch-enricher[bronze]"):
        import_module("nosuchmodule")
