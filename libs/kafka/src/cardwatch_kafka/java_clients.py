"""The connection settings as options of Java's Kafka clients, which Spark's source and sink are."""

from typing import Final

from cardwatch_service.kafka_settings import KafkaSettings

SECURITY_PACKAGE: Final = "org.apache.kafka.common.security"

_OAUTH_MODULE: Final = "oauthbearer.OAuthBearerLoginModule"
_OAUTH_HANDLER: Final = "oauthbearer.OAuthBearerLoginCallbackHandler"


def java_config(settings: KafkaSettings, security_package: str = SECURITY_PACKAGE) -> dict[str, str]:
    """Connection settings of a Java client.

    Certificate and key are texts among the options, as read now, and not file names: Java wants both in one file, and
    executors on other machines do not have the files. Whoever shows the options has to hide the values of
    ``sasl.jaas.config`` and ``ssl.keystore.key``.

    Args:
        security_package: where the client's login modules are; a platform may have the client under another name.

    Raises:
        OSError: a certificate or key has become unreadable since the settings were loaded.
    """
    config = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
    }
    if settings.uses_sasl:
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.jaas.config": _jaas_config(settings, security_package),
        }
    if settings.uses_oauth:
        config |= {
            "sasl.oauthbearer.token.endpoint.url": settings.kafka_oauth_token_endpoint_url,
            "sasl.login.callback.handler.class": f"{security_package}.{_OAUTH_HANDLER}",
        }
    if settings.uses_tls:
        config |= _ssl_config(settings)
    return config


def _ssl_config(settings: KafkaSettings) -> dict[str, str]:
    files = settings.kafka_tls()
    config: dict[str, str] = {}
    if files.ca_location:
        config |= _truststore(files.ca_location)
    if files.certificate_location:
        config |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": files.certificate_chain(),
            "ssl.keystore.key": files.private_key(),
        }
        if files.key_password:
            config["ssl.key.password"] = files.key_password
    return config


def _truststore(location: str) -> dict[str, str]:
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": location}


def _jaas_config(settings: KafkaSettings, security_package: str) -> str:
    if settings.uses_oauth:
        module = _OAUTH_MODULE
        options = {
            "clientId": settings.kafka_oauth_client_id,
            "clientSecret": settings.kafka_oauth_client_secret.get_secret_value(),
            "scope": settings.kafka_oauth_scope,
            **{f"extension_{name}": value for name, value in settings.oauth_extensions().items()},
            # What the client trusts at the token endpoint is an option of the login module.
            **(_truststore(location) if (location := settings.kafka_oauth_ssl_ca_location) else {}),
        }
    else:
        module = "plain.PlainLoginModule" if settings.kafka_sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        options = {
            "username": settings.kafka_sasl_username,
            "password": settings.kafka_sasl_password.get_secret_value(),
        }
    given = " ".join(f"{name}={_quoted(value)}" for name, value in options.items() if value)
    return f"{security_package}.{module} required {given};"


def _quoted(text: str) -> str:
    """A string of a JAAS configuration, which Java's StreamTokenizer reads."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
