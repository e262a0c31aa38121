"""Settings from the environment (12-factor), with defaults for a local platform."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import ConfluentRegistry
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

S = TypeVar("S", bound=BaseSettings)

# Settings of a Kafka client by librdkafka's names, `bootstrap.servers` at least.
KafkaConfig = dict[str, str | int | float | bool]

ENV_PREFIX = "CARDWATCH_"
SECRETS_DIR: Final = "CARDWATCH_SECRETS_DIR"


class ServiceSettings(BaseSettings):
    """What every service needs to know. Each field is the environment variable ``CARDWATCH_<FIELD>``.

    A service adds its own fields in a subclass with ``env_prefix="CARDWATCH_<SERVICE>_"`` composed beside this one.
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
    metrics_host: Annotated[str, Field(description="address that /metrics, /healthz and /readyz bind to")] = "127.0.0.1"
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
        """A client of the schema registry."""
        return ConfluentRegistry(
            self.schema_registry_url,
            basic_auth=self.schema_registry_basic_auth.get_secret_value(),
            ca_location=self.kafka_ssl_ca_location,
        )


def load(settings_type: type[S], **overrides: Any) -> S:
    """Read settings from the environment, and what is not there from the directory of secrets, if there is one.

    ``overrides`` are fields that a command's options set; they take precedence over the environment.

    ``CARDWATCH_SECRETS_DIR`` names it: a file for each secret, called like its variable in lower case, as container
    platforms mount them (``/run/secrets/cardwatch_token_key``).

    Raises:
        ConfigurationError: a variable has a wrong value; names each such variable and what is wrong with it. Or there
            is no such directory.
    """
    secrets = os.environ.get(SECRETS_DIR) or None
    if secrets is not None and not Path(secrets).is_dir():
        raise ConfigurationError(f"{SECRETS_DIR}={secrets} is no directory; one with a file a secret would be right")
    try:
        return settings_type(_secrets_dir=secrets, **overrides)
    except ValidationError as error:
        problems = "; ".join(_sentence(settings_type, problem) for problem in error.errors(include_url=False))
        raise ConfigurationError(f"wrong settings: {problems}") from error


def _sentence(settings_type: type[BaseSettings], problem: "ErrorDetails") -> str:
    """Name the variable, quote its value unless it may hold a secret, and say what is wrong with it."""
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    location = problem["loc"]
    if not location:
        # A validator of the whole model: its sentence names the variables, and its input is all of them.
        return message
    prefix = str(settings_type.model_config.get("env_prefix", ""))
    variable = f"{prefix}{'_'.join(str(part) for part in location)}".upper()
    quoted = "" if _may_hold_secret(settings_type, location) else f"={problem.get('input')!r}"
    return f"{variable}{quoted}: {message}"


def _may_hold_secret(settings_type: type[BaseSettings], location: tuple[int | str, ...]) -> bool:
    """Whether a value must not be quoted: it is a secret, or its field is declared with ``repr=False``."""
    field = settings_type.model_fields.get(str(location[0]))
    return field is not None and (field.annotation is SecretStr or not field.repr)
