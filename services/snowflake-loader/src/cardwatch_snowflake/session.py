"""A session with Snowflake, from the settings."""

from pathlib import Path
from typing import Any, Final, cast

import snowflake.connector
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.secret_files import close_secret_file
from cryptography.hazmat.primitives import serialization

from cardwatch_snowflake.settings import SnowflakeSettings
from cardwatch_snowflake.snowflake_warehouse import Connection

_LOCK_TIMEOUT_SECONDS: Final = 600
_NEEDED: Final = ("user", "warehouse", "database", "schema")


def check(settings: SnowflakeSettings) -> None:
    """Check that the required settings are set.

    Raises:
        ConfigurationError: something is missing; names it.
    """
    if not settings.account:
        raise ConfigurationError(
            "the Snowflake loader is off: SNOWFLAKE_ACCOUNT is not set; set it to <organisation>-<account> to turn "
            "it on"
        )
    values = {
        "user": settings.user,
        "warehouse": settings.warehouse,
        "database": settings.database,
        "schema": settings.schema_name,
    }
    missing = [f"SNOWFLAKE_{name.upper()}" for name in _NEEDED if not values[name]]
    if missing:
        raise ConfigurationError(f"SNOWFLAKE_ACCOUNT is set, but not {', '.join(missing)}")
    if (settings.private_key_file is None) == (not settings.password.get_secret_value()):
        raise ConfigurationError(
            "set SNOWFLAKE_PRIVATE_KEY_FILE (a key pair's PEM file) or SNOWFLAKE_PASSWORD: one of them, not both"
        )


def connection_parameters(settings: SnowflakeSettings) -> dict[str, Any]:
    """The keyword arguments of the connector's ``connect``.

    Raises:
        ConfigurationError: something is missing, or the private key cannot be read.
    """
    check(settings)
    parameters: dict[str, Any] = {
        "account": settings.account,
        "user": settings.user,
        "warehouse": settings.warehouse,
        "database": settings.database,
        "schema": settings.schema_name,
        "application": "cardwatch_snowflake_loader",
        "paramstyle": "qmark",
        "autocommit": True,
        # Always log out when a connection is closed: an open transaction ends, and with it its locks.
        "enable_server_session_keep_alive_auto_detection": False,
        "session_parameters": {
            "QUERY_TAG": "cardwatch-snowflake-loader",
            "TIMEZONE": "UTC",
            # A transaction of a process that was killed may hold its locks for some minutes.
            "LOCK_TIMEOUT": _LOCK_TIMEOUT_SECONDS,
        },
    }
    if settings.host:
        parameters["host"] = settings.host
    if settings.role:
        parameters["role"] = settings.role
    if settings.private_key_file is None:
        parameters["password"] = settings.password.get_secret_value()
    else:
        close_secret_file(settings.private_key_file)
        parameters["authenticator"] = "SNOWFLAKE_JWT"
        parameters["private_key"] = private_key(
            settings.private_key_file, settings.private_key_passphrase.get_secret_value()
        )
    return parameters


def private_key(path: Path, passphrase: str) -> bytes:
    """A private key as the connector takes it: PKCS#8, DER, in the clear.

    Raises:
        ConfigurationError: there is no such file, or the passphrase does not open it. The sentence quotes neither.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"SNOWFLAKE_PRIVATE_KEY_FILE={path} cannot be read: {error.strerror}") from error
    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"SNOWFLAKE_PRIVATE_KEY_FILE={path} is not a private key in PEM that SNOWFLAKE_PRIVATE_KEY_PASSPHRASE "
            "opens; expected a file of `openssl genrsa 2048 | openssl pkcs8 -topk8` and its passphrase"
        ) from error
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def connect(parameters: dict[str, Any]) -> Connection:
    """Open a session."""
    return cast(Connection, snowflake.connector.connect(**parameters))
