"""How to log in to a schema registry, and whom to trust, in the terms of its client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Token = Callable[[], str]
"""The token of the next request. It may change between requests.

Raises OSError: the token cannot be read now.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """What a registry demands of its clients; everything may be empty.

    Attributes:
        basic_auth: ``user:password``.
        bearer_token: gives the token of each request.
        ca_location: PEM file of the authorities that may sign the registry's certificate; empty for the system's.
        certificate_location: PEM file with this client's certificate.
        key_location: PEM file with its private key, unless the certificate's file has it.
        key_password: opens the key.
    """

    basic_auth: str = ""
    bearer_token: Token | None = None
    ca_location: str = ""
    certificate_location: str = ""
    key_location: str = ""
    key_password: str = ""

    def client_config(self) -> dict[str, Any]:
        """Settings of ``SchemaRegistryClient``."""
        given = {
            "basic.auth.user.info": self.basic_auth,
            "ssl.ca.location": self.ca_location,
            "ssl.certificate.location": self.certificate_location,
            "ssl.key.location": self.key_location,
            "ssl.key.password": self.key_password,
        }
        config: dict[str, Any] = {name: value for name, value in given.items() if value}
        if (token := self.bearer_token) is not None:
            config["bearer.auth.credentials.source"] = "CUSTOM"
            # The client wants a logical cluster, which Confluent Cloud alone has, and passes it on as a header.
            config["bearer.auth.custom.provider.function"] = lambda _config: {
                "bearer.auth.token": token(),
                "bearer.auth.logical.cluster": "",
            }
            config["bearer.auth.custom.provider.config"] = {}
        return config
