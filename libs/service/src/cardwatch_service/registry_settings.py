"""How services connect to the schema registry: login and certificates, checked before anything connects."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.registry_access import RegistryAccess, Token
from pydantic import Field, SecretStr

from cardwatch_service.kafka_settings import KafkaSettings
from cardwatch_service.secret_files import close_secret_file
from cardwatch_service.tls import TlsFiles

_PREFIX: Final = "CARDWATCH_SCHEMA_REGISTRY_"


class RegistrySettings(KafkaSettings):
    """Each field is the environment variable ``CARDWATCH_<FIELD>``."""

    schema_registry_url: Annotated[str, Field(description="base URL of a Confluent-compatible registry")] = (
        "http://127.0.0.1:8081/apis/ccompat/v7"
    )
    schema_registry_basic_auth: Annotated[SecretStr, Field(description="user:password, or empty")] = SecretStr("")
    schema_registry_bearer_token: Annotated[SecretStr, Field(description="token, or empty")] = SecretStr("")
    schema_registry_bearer_token_file: Annotated[
        Path | None, Field(description="file that holds the token instead, read at every request")
    ] = None
    schema_registry_ssl_ca_location: Annotated[
        str,
        Field(description="PEM file; empty for kafka_ssl_ca_location, and without that for the system's authorities"),
    ] = ""
    schema_registry_ssl_certificate_location: Annotated[
        str, Field(description="PEM file of the client's certificate")
    ] = ""
    schema_registry_ssl_key_location: Annotated[
        str, Field(description="PEM file of its private key (PKCS#8), unless the certificate's file has it")
    ] = ""
    schema_registry_ssl_key_password: SecretStr = SecretStr("")

    def registry(self) -> ConfluentRegistry:
        """A new client of the schema registry."""
        return ConfluentRegistry(self.schema_registry_url, self.registry_access())

    def registry_access(self) -> RegistryAccess:
        """What the registry demands of its clients."""
        files = self.registry_tls()
        return RegistryAccess(
            basic_auth=self.schema_registry_basic_auth.get_secret_value(),
            bearer_token=self._token(),
            ca_location=files.ca_location or self.kafka_ssl_ca_location,
            certificate_location=files.certificate_location,
            key_location=files.key_location,
            key_password=files.key_password,
        )

    def registry_tls(self) -> TlsFiles:
        """The files of connections to the registry."""
        return TlsFiles(
            "CARDWATCH_SCHEMA_REGISTRY_SSL",
            self.schema_registry_ssl_ca_location,
            self.schema_registry_ssl_certificate_location,
            self.schema_registry_ssl_key_location,
            self.schema_registry_ssl_key_password.get_secret_value(),
        )

    def _token(self) -> Token | None:
        token, file = self.schema_registry_bearer_token.get_secret_value(), self.schema_registry_bearer_token_file
        if file is not None:
            return partial(_read_token, file)
        return (lambda: token) if token else None

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self.registry_tls().problems()
        if self.schema_registry_ssl_certificate_location and not self.schema_registry_url.startswith("https://"):
            yield (
                f"{_PREFIX}SSL_CERTIFICATE_LOCATION is set, but {_PREFIX}URL={self.schema_registry_url} does not use "
                "it; expected an https:// URL"
            )
        yield from self._login_problems()

    def _login_problems(self) -> Iterator[str]:
        basic, file = self.schema_registry_basic_auth.get_secret_value(), self.schema_registry_bearer_token_file
        logins = {
            "BASIC_AUTH": bool(basic),
            "BEARER_TOKEN": bool(self.schema_registry_bearer_token.get_secret_value()),
            "BEARER_TOKEN_FILE": file is not None,
        }
        given = [f"{_PREFIX}{name}" for name, is_set in logins.items() if is_set]
        if len(given) > 1:
            yield f"{' and '.join(given)} are set; expected at most one of them"
        if given and (problem := self.url_problem(f"{_PREFIX}URL", self.schema_registry_url, given[0])):
            yield problem
        if basic and ":" not in basic:
            yield f"{_PREFIX}BASIC_AUTH cannot be used; expected user:password (its value is not shown)"
        if file is not None:
            try:
                _read_token(file)
            except OSError as error:
                yield f"{_PREFIX}BEARER_TOKEN_FILE={file} cannot be read: {error.strerror}; expected a token"


def _read_token(file: Path) -> str:
    close_secret_file(file)
    return file.read_text(encoding="utf-8", errors="replace").strip()
