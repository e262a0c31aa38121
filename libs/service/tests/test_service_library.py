"""Settings, health endpoint, metrics and shutdown."""

import os
import signal
from typing import Annotated, Self

import httpx
import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import LATENCY_SECONDS, Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_KAFKA_BOOTSTRAP_SERVERS", "broker:9093")
    monkeypatch.setenv("CARDWATCH_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_PASSWORD", "s3cret")
    monkeypatch.setenv("CARDWATCH_TOPIC_PREFIX", "t1.")
    settings = load_settings(ServiceSettings)
    assert settings.kafka_config() == {
        "bootstrap.servers": "broker:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "s3cret",
    }
    assert settings.consumer_group("enricher") == "t1.cardwatch-enricher"
    assert "s3cret" not in repr(settings)


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_METRICS_PORT", "many")
    monkeypatch.setenv("CARDWATCH_LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(ServiceSettings)
    assert "CARDWATCH_METRICS_PORT='many'" in str(caught.value)
    assert "CARDWATCH_LOG_LEVEL='LOUD'" in str(caught.value)


class ReceiverSettings(BaseSettings):
    """Settings that validate themselves, with a URL that may hold a secret."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_TEST_", extra="ignore")

    url: Annotated[str, Field(repr=False)] = ""
    token: SecretStr = SecretStr("")
    name: str = ""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url and not url.startswith("https://"):
            raise ValueError("expected a URL such as https://host/path")
        return url

    @model_validator(mode="after")
    def _check_receiver(self) -> Self:
        if not self.url and not self.name:
            raise ValueError("set CARDWATCH_TEST_URL or CARDWATCH_TEST_NAME")
        return self


def test_messages_of_validators_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TEST_TOKEN", "s3cret")
    with pytest.raises(ConfigurationError) as neither:
        load_settings(ReceiverSettings)
    assert str(neither.value) == "wrong settings: set CARDWATCH_TEST_URL or CARDWATCH_TEST_NAME"
    monkeypatch.setenv("CARDWATCH_TEST_URL", "s3cret")
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(ReceiverSettings)
    assert str(wrong.value) == "wrong settings: CARDWATCH_TEST_URL: expected a URL such as https://host/path"


def test_fields_exempt_from_the_search_for_card_numbers_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not load_settings(ServiceSettings).card_number_exempt_fields
    monkeypatch.setenv("CARDWATCH_CARD_NUMBER_EXEMPT_FIELDS", "merchant_id, device_id")
    assert load_settings(ServiceSettings).card_number_exempt_fields == {"merchant_id", "device_id"}
    monkeypatch.setenv("CARDWATCH_CARD_NUMBER_EXEMPT_FIELDS", "merchant_id, terminal")
    with pytest.raises(
        ConfigurationError, match=r"CARD_NUMBER_EXEMPT_FIELDS='.*': expected names of .*, got terminal:"
    ):
        load_settings(ServiceSettings)


def test_an_option_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TEST_NAME", "of the environment")
    assert load_settings(ReceiverSettings, name="of the option").name == "of the option"
    monkeypatch.delenv("CARDWATCH_TEST_NAME")
    assert load_settings(ReceiverSettings, name="of the option").name == "of the option"


def test_health_endpoint() -> None:
    metrics = Metrics()
    problem = ["not yet"]
    endpoint = HealthEndpoint(metrics.registry, ready=lambda: problem[0])
    endpoint.start()
    try:
        base = f"http://127.0.0.1:{endpoint.port}"
        assert httpx.get(f"{base}/healthz").text == "ok\n"
        answer = httpx.get(f"{base}/readyz")
        assert (answer.status_code, answer.text) == (503, "not yet\n")
        problem[0] = ""
        assert httpx.get(f"{base}/readyz").status_code == 200
        metrics.latency.labels("raw_broker_time", "delivered").observe(0.3)
        page = httpx.get(f"{base}/metrics").text
        assert f'{LATENCY_SECONDS}_count{{end="delivered",start="raw_broker_time"}} 1.0' in page
        assert "process_resident_memory_bytes" in page
        assert httpx.get(f"{base}/else").status_code == 404
        with pytest.raises(ConfigurationError, match="CARDWATCH_METRICS_PORT"):
            HealthEndpoint(metrics.registry, port=endpoint.port).start()
    finally:
        endpoint.stop()


def test_shutdown_on_signal() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        shutdown = Shutdown().install()
        assert not shutdown.requested
        assert not shutdown.wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert shutdown.wait(1)
        assert shutdown.requested
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_a_known_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, exit_with_error_message():
        raise CardwatchError("the moon is full; wait")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: the moon is full; wait\n"


def test_an_error_shows_no_card_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), exit_with_error_message():
        raise ConfigurationError("the file's columns are t-1, 4111 1111 1111 1111, 4111\u200b111111111111 and 12.50")
    printed = capsys.readouterr().err
    assert printed == "error: the file's columns are t-1, **** **** **** ****, ****\\u200b************ and 12.50\n"


class AliasedSettings(BaseSettings):
    """Settings with a variable of another prefix, and another one that is secret."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_TEST_", extra="ignore")

    size: Annotated[int, Field(validation_alias="OTHER_SIZE")] = 0
    key: Annotated[int, Field(validation_alias="OTHER_KEY", repr=False)] = 0


def test_a_wrong_setting_with_an_alias_is_named_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_SIZE", "many")
    monkeypatch.setenv("OTHER_KEY", "s3cret")
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(AliasedSettings)
    assert "OTHER_SIZE='many': " in str(wrong.value)
    assert "CARDWATCH_TEST_" not in str(wrong.value)
    assert "OTHER_KEY: " in str(wrong.value)
    assert "s3cret" not in str(wrong.value)
