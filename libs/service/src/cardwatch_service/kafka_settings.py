"""How services connect to Kafka: protocol, login and certificates, checked before anything connects.

These settings are translated once for each kind of client: here for librdkafka, in ``cardwatch_kafka.java_clients`` for
Java (Spark), and in the enricher's ``stream/faust_settings.py`` for aiokafka.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from cardwatch_service.checked_settings import CheckedSettings
from cardwatch_service.loopback import is_loopback, servers_beyond_loopback
from cardwatch_service.tls import TlsFiles

# Settings of a Kafka client by librdkafka's names, `bootstrap.servers` at least.
KafkaConfig = dict[str, str | int | float | bool]

ENV_PREFIX: Final = "CARDWATCH_"
OAUTHBEARER: Final = "OAUTHBEARER"

_WITHOUT_TLS_HINT: Final = (
    "use TLS, or set CARDWATCH_ALLOW_CREDENTIALS_WITHOUT_TLS=true if nobody else can read that network"
)


class ConnectionSettings(CheckedSettings):
    """What the settings of all connections have in common."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    allow_credentials_without_tls: Annotated[
        bool, Field(description="let passwords and tokens leave this machine unencrypted")
    ] = False

    def url_problem(self, variable: str, url: str, secret: str) -> str:
        """Why a secret must not be sent to a URL; empty if it may be."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return f"{variable} cannot be used; expected a URL such as https://host/path"
        if parts.scheme == "https" or is_loopback(parts.hostname) or self.allow_credentials_without_tls:
            return ""
        return f"{variable} is an http:// URL on another machine, and {secret} would be sent unencrypted; " + (
            _WITHOUT_TLS_HINT
        )


class KafkaSettings(ConnectionSettings):
    """Each field is the environment variable ``CARDWATCH_<FIELD>``."""

    kafka_bootstrap_servers: Annotated[str, Field(description="host:port, comma separated")] = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_oauth_token_endpoint_url: Annotated[
        str, Field(description="where OAUTHBEARER gets tokens (OIDC client credentials)")
    ] = ""
    kafka_oauth_client_id: str = ""
    kafka_oauth_client_secret: SecretStr = SecretStr("")
    kafka_oauth_scope: Annotated[str, Field(description="scopes to ask for, separated by spaces")] = ""
    kafka_oauth_extensions: Annotated[
        str, Field(description="name=value, comma separated: SASL extensions, as Confluent Cloud wants them")
    ] = ""
    kafka_oauth_ssl_ca_location: Annotated[
        str, Field(description="PEM file for the token endpoint; empty for the system's authorities")
    ] = ""
    kafka_ssl_ca_location: Annotated[
        str,
        Field(description="PEM file; empty for the system's authorities. For the registry too, unless it has its own"),
    ] = ""
    kafka_ssl_certificate_location: Annotated[str, Field(description="PEM file of the client's certificate")] = ""
    kafka_ssl_key_location: Annotated[
        str, Field(description="PEM file of its private key (PKCS#8), unless the certificate's file has it")
    ] = ""
    kafka_ssl_key_password: SecretStr = SecretStr("")

    @property
    def uses_tls(self) -> bool:
        """Whether connections to Kafka are encrypted."""
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether clients log in to Kafka, by ``kafka_sasl_mechanism``."""
        return self.kafka_security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def uses_oauth(self) -> bool:
        """Whether clients log in to Kafka with a token."""
        return self.uses_sasl and self.kafka_sasl_mechanism == OAUTHBEARER

    def kafka_tls(self) -> TlsFiles:
        """The files of connections to Kafka."""
        return TlsFiles(
            "CARDWATCH_KAFKA_SSL",
            self.kafka_ssl_ca_location,
            self.kafka_ssl_certificate_location,
            self.kafka_ssl_key_location,
            self.kafka_ssl_key_password.get_secret_value(),
        )

    def oauth_tls(self) -> TlsFiles:
        """The files of connections to the token endpoint."""
        return TlsFiles("CARDWATCH_KAFKA_OAUTH_SSL", self.kafka_oauth_ssl_ca_location)

    def oauth_extensions(self) -> dict[str, str]:
        """SASL extensions by name."""
        pairs = (pair.partition("=") for pair in self.kafka_oauth_extensions.split(",") if pair.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}

    def kafka_config(self) -> KafkaConfig:
        """Connection settings of a librdkafka client."""
        config: dict[str, str] = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
        }
        if self.uses_oauth:
            config |= {
                "sasl.mechanism": OAUTHBEARER,
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": self.kafka_oauth_token_endpoint_url,
                "sasl.oauthbearer.client.id": self.kafka_oauth_client_id,
                "sasl.oauthbearer.client.secret": self.kafka_oauth_client_secret.get_secret_value(),
                "sasl.oauthbearer.scope": self.kafka_oauth_scope,
                "sasl.oauthbearer.extensions": ",".join(f"{n}={v}" for n, v in self.oauth_extensions().items()),
                "https.ca.location": self.kafka_oauth_ssl_ca_location,
            }
        elif self.uses_sasl:
            config |= {
                "sasl.mechanism": self.kafka_sasl_mechanism,
                "sasl.username": self.kafka_sasl_username,
                "sasl.password": self.kafka_sasl_password.get_secret_value(),
            }
        if self.uses_tls:
            files = self.kafka_tls()
            config |= {
                "ssl.ca.location": files.ca_location,
                "ssl.certificate.location": files.certificate_location,
                "ssl.key.location": files.key_file,
                "ssl.key.password": files.key_password,
            }
        return {name: value for name, value in config.items() if value}

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self.kafka_tls().problems()
        yield from self._sasl_problems()
        if self.kafka_ssl_certificate_location and not self.uses_tls:
            yield (
                f"CARDWATCH_KAFKA_SSL_CERTIFICATE_LOCATION is set, but CARDWATCH_KAFKA_SECURITY_PROTOCOL="
                f"{self.kafka_security_protocol} does not use it; expected SSL or SASL_SSL"
            )

    def _sasl_problems(self) -> Iterator[str]:
        if not self.uses_sasl:
            if self.kafka_sasl_mechanism:
                yield (
                    f"CARDWATCH_KAFKA_SASL_MECHANISM={self.kafka_sasl_mechanism} is set, but "
                    f"CARDWATCH_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} does not log in; expected "
                    "SASL_SSL"
                )
            return
        beyond = servers_beyond_loopback(self.kafka_bootstrap_servers)
        if self.kafka_security_protocol == "SASL_PLAINTEXT" and beyond and not self.allow_credentials_without_tls:
            yield (
                "CARDWATCH_KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT would send credentials unencrypted to another "
                f"machine ({', '.join(beyond)}); expected SASL_SSL: {_WITHOUT_TLS_HINT}"
            )
        if not self.kafka_sasl_mechanism:
            yield (
                f"CARDWATCH_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs "
                "CARDWATCH_KAFKA_SASL_MECHANISM; expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
            )
        elif self.uses_oauth:
            yield from self._oauth_problems()
        elif not (self.kafka_sasl_username and self.kafka_sasl_password.get_secret_value()):
            yield (
                f"CARDWATCH_KAFKA_SASL_MECHANISM={self.kafka_sasl_mechanism} needs CARDWATCH_KAFKA_SASL_USERNAME and "
                "CARDWATCH_KAFKA_SASL_PASSWORD"
            )

    def _oauth_problems(self) -> Iterator[str]:
        missing = [
            f"CARDWATCH_KAFKA_OAUTH_{name}"
            for name, value in (
                ("TOKEN_ENDPOINT_URL", self.kafka_oauth_token_endpoint_url),
                ("CLIENT_ID", self.kafka_oauth_client_id),
                ("CLIENT_SECRET", self.kafka_oauth_client_secret.get_secret_value()),
            )
            if not value
        ]
        if missing:
            yield f"CARDWATCH_KAFKA_SASL_MECHANISM=OAUTHBEARER needs {', '.join(missing)}"
        if self.kafka_oauth_token_endpoint_url and (
            problem := self.url_problem(
                "CARDWATCH_KAFKA_OAUTH_TOKEN_ENDPOINT_URL",
                self.kafka_oauth_token_endpoint_url,
                "CARDWATCH_KAFKA_OAUTH_CLIENT_SECRET",
            )
        ):
            yield problem
        if any("=" not in pair for pair in self.kafka_oauth_extensions.split(",") if pair.strip()):
            yield "CARDWATCH_KAFKA_OAUTH_EXTENSIONS cannot be used; expected name=value, comma separated"
        yield from self.oauth_tls().problems()
