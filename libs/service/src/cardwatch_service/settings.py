"""Settings from the environment (12-factor), with defaults for a local platform."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from cardwatch_card_numbers.exemptions import NO_FIELDS, parse_exempt_fields
from cardwatch_contracts.errors import ConfigurationError
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cardwatch_service.kafka_settings import ENV_PREFIX, KafkaConfig
from cardwatch_service.registry_settings import RegistrySettings
from cardwatch_service.secret_files import close_secret_files

__all__ = ["ENV_PREFIX", "SECRETS_DIR", "KafkaConfig", "ProcessSettings", "ServiceSettings", "load_settings"]

S = TypeVar("S", bound=BaseSettings)

SECRETS_DIR: Final = "CARDWATCH_SECRETS_DIR"


class ProcessSettings(BaseSettings):
    """Settings of every program that runs, whatever it connects to: logs and metrics."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    metrics_host: Annotated[str, Field(description="address that /metrics, /healthz and /readyz listen on")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535, description="0 takes a free port and logs it")] = 0
    stall_seconds: Annotated[
        float, Field(ge=1, description="work that is there and has not advanced for so long makes /healthz fail")
    ] = 600.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"


class ServiceSettings(RegistrySettings, ProcessSettings):
    """Settings that every service on Kafka has. Each field is the environment variable ``CARDWATCH_<FIELD>``.

    A service adds its own fields in a subclass with ``env_prefix="CARDWATCH_<SERVICE>_"`` used in addition to this one.
    """

    topic_prefix: Annotated[str, Field(description="put before every topic name and consumer group")] = ""
    rules_require_approval: Annotated[
        bool, Field(description="a rule goes live only when another Kafka user approves (`cardwatch rules approve`)")
    ] = False
    topic_check: Annotated[
        Literal["refuse", "warn", "off"],
        Field(description="at the start, what to do about topics with settings that make results wrong"),
    ] = "refuse"
    on_lost_offsets: Annotated[
        Literal["stop", "continue"],
        Field(description="what to do where the broker deleted messages before they were read"),
    ] = "stop"

    card_number_exempt_fields: Annotated[
        frozenset[str],
        NoDecode,
        BeforeValidator(lambda value: parse_exempt_fields(value) if isinstance(value, str) else value),
        Field(
            description="comma-separated fields whose numbers are not searched for card numbers, of transaction_id, "
            "merchant_id and device_id (docs/card-numbers.md); the same for enricher and lakehouse"
        ),
    ] = NO_FIELDS

    def consumer_group(self, service: str) -> str:
        """The consumer group of a service in this deployment."""
        return f"{self.topic_prefix}cardwatch-{service}"


def load_settings(settings_type: type[S], **overrides: Any) -> S:
    """Read settings from the environment, and those that it lacks from the directory of secrets, if there is one.

    ``CARDWATCH_SECRETS_DIR`` is that directory: one file per secret, whose name is that of the variable in lower case,
    as container platforms mount them (``/run/secrets/cardwatch_token_key``). Files of this user that others can read
    are closed to them, with a warning on standard error.

    Args:
        overrides: fields that a command's options set; they take precedence over the environment.

    Raises:
        ConfigurationError: the directory does not exist, or variables have wrong values; the message names each and
            says what is wrong with it.
    """
    secrets = os.environ.get(SECRETS_DIR) or None
    if secrets is not None and not Path(secrets).is_dir():
        raise ConfigurationError(f"{SECRETS_DIR}={secrets} is not a directory; expected one with one file per secret")
    if secrets is not None:
        close_secret_files(Path(secrets))
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
