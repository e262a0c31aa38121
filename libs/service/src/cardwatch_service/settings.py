"""Settings from the environment (12-factor), with defaults for a local platform."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound=BaseSettings)

# Settings of a Kafka client by librdkafka's names, `bootstrap.servers` at least.
KafkaConfig = dict[str, str | int | float | bool]

ENV_PREFIX = "CARDWATCH_"
SECRETS_DIR: Final = "CARDWATCH_SECRETS_DIR"


class ServiceSettings(BaseSettings):
    """Settings that every service has. Each field is the environment variable ``CARDWATCH_<FIELD>``.

    A service adds its own fields in a subclass with ``env_prefix="CARDWATCH_<SERVICE>_"`` used in addition to this one.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    kafka_bootstrap_servers: Annotated[str, Field(description="host:port, comma separated")] = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[str, Field(description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = ""
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_location: Annotated[str, Field(description="PEM file; empty for the system's")] = ""
    schema_registry_url: Annotated[str, Field(description="base URL of a Confluent-compatible registry")] = (
        "http://127.0.0.1:8081/apis/ccompat/v7"
    )
    schema_registry_basic_auth: Annotated[SecretStr, Field(description="user:password, or empty")] = SecretStr("")
    topic_prefix: Annotated[str, Field(description="put before every topic name and consumer group")] = ""
    metrics_host: Annotated[str, Field(description="address that /metrics, /healthz and /readyz listen on")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free port and logs it")] = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    def kafka_config(self) -> KafkaConfig:
        """Connection settings of a librdkafka client."""
        config: KafkaConfig = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
        }
        if self.kafka_sasl_mechanism:
            config["sasl.mechanism"] = self.kafka_sasl_mechanism
            config["sasl.username"] = self.kafka_sasl_username
            config["sasl.password"] = self.kafka_sasl_password.get_secret_value()
        if self.kafka_ssl_ca_location:
            config["ssl.ca.location"] = self.kafka_ssl_ca_location
        return config

    def consumer_group(self, service: str) -> str:
        """The consumer group of a service in this deployment."""
        return f"{self.topic_prefix}cardwatch-{service}"

    def registry(self) -> ConfluentRegistry:
        """A new client of the schema registry."""
        return ConfluentRegistry(
            self.schema_registry_url,
            basic_auth=self.schema_registry_basic_auth.get_secret_value(),
            ca_location=self.kafka_ssl_ca_location,
        )


def load_settings(settings_type: type[S], **overrides: Any) -> S:
    """Read settings from the environment, and those that it lacks from the directory of secrets, if there is one.

    ``CARDWATCH_SECRETS_DIR`` is that directory: one file per secret, whose name is that of the variable in lower case,
    as container platforms mount them (``/run/secrets/cardwatch_token_key``).

    Args:
        overrides: fields that a command's options set; they take precedence over the environment.

    Raises:
        ConfigurationError: the directory does not exist, or variables have wrong values; the message names each and
            says what is wrong with it.
    """
    secrets = os.environ.get(SECRETS_DIR) or None
    if secrets is not None and not Path(secrets).is_dir():
        raise ConfigurationError(f"{SECRETS_DIR}={secrets} is not a directory; expected one with one file per secret")
    try:
        return settings_type(_secrets_dir=secrets, **overrides)
    except ValidationError as error:
        problems = "; ".join(_sentence(settings_type, problem) for problem in error.errors(include_url=False))
        raise ConfigurationError(f"wrong settings: {problems}") from error


def _sentence(settings_type: type[BaseSettings], problem: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words: variable, value unless that may be secret, and what is wrong with it."""
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    location = problem["loc"]
    if not location:
        # A validator of the whole model: its sentence names the variables, and its input is all of them.
        return message
    # The location begins with the field's name, or with its alias, which is a variable's whole name.
    prefix = str(settings_type.model_config.get("env_prefix", "")) if location[0] in settings_type.model_fields else ""
    variable = f"{prefix}{'_'.join(str(part) for part in location)}".upper()
    quoted = "" if _may_hold_secret(settings_type, str(location[0])) else f"={problem.get('input')!r}"
    return f"{variable}{quoted}: {message}"


def _may_hold_secret(settings_type: type[BaseSettings], name: str) -> bool:
    """Whether the value of a field must not be quoted: it is a secret, or is declared with ``repr=False``."""
    return any(
        field.annotation is SecretStr or not field.repr
        for key, field in settings_type.model_fields.items()
        if name in (key, field.validation_alias)
    )
