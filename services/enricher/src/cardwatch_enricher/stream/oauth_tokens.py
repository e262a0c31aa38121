"""Tokens with which aiokafka logs in to Kafka (SASL OAUTHBEARER), by OIDC's client credentials.

Librdkafka and Java get theirs themselves; aiokafka asks for one at each new connection.
"""

import asyncio
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated, Final

import httpx
from aiokafka.abc import AbstractTokenProvider
from cardwatch_service.kafka_settings import KafkaSettings
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_REQUEST_SECONDS: Final = 10.0
# A token that would expire while the broker looks at it is not used.
_LEEWAY_SECONDS: Final = 30.0


class OAuthTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """Keeps a token until shortly before it expires.

    A request runs in a thread of its own: Faust's consumer has an event loop beside the application's.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._url: Final = settings.kafka_oauth_token_endpoint_url
        self._extensions: Final = settings.oauth_extensions()
        self._scope: Final = settings.kafka_oauth_scope
        self._client: Final = httpx.Client(
            auth=(settings.kafka_oauth_client_id, settings.kafka_oauth_client_secret.get_secret_value()),
            verify=settings.oauth_tls().context(),
            timeout=_REQUEST_SECONDS,
        )
        self._lock: Final = Lock()
        self._last = _Token("", 0.0)

    async def token(self) -> str:
        """A token that is valid now.

        Raises:
            ConnectionError: the endpoint gives none; aiokafka then tries again.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self._valid_token)

    def extensions(self) -> dict[str, str]:
        """SASL extensions by name."""
        return self._extensions

    def _valid_token(self) -> str:
        with self._lock:
            if time.monotonic() >= self._last.used_until:
                self._last = self._fetch()
            return self._last.text

    def _fetch(self) -> "_Token":
        asked_at = time.monotonic()
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        try:
            answer = self._client.post(self._url, data=form)
            answer.raise_for_status()
            token = _Answer.model_validate_json(answer.content)
        except httpx.HTTPStatusError as error:
            raise self._unavailable(f"it answers {error.response.status_code} {error.response.text[:200]}") from error
        except httpx.HTTPError as error:
            raise self._unavailable(str(error) or type(error).__name__) from error
        except ValidationError as error:
            raise self._unavailable("its answer is not JSON with an access_token") from error
        return _Token(token.access_token, asked_at + token.expires_in - _LEEWAY_SECONDS)

    def _unavailable(self, why: str) -> ConnectionError:
        return ConnectionError(
            f"no token for Kafka from {self._url}: {why}; check CARDWATCH_KAFKA_OAUTH_TOKEN_ENDPOINT_URL, _CLIENT_ID, "
            "_CLIENT_SECRET, _SCOPE and _SSL_CA_LOCATION"
        )


class _Answer(BaseModel):
    """Of a token endpoint (RFC 6749, section 5.1)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    access_token: Annotated[str, Field(min_length=1)]
    # Seconds. It may be missing: then each connection gets a new token.
    expires_in: float = 0.0


@dataclass(frozen=True, slots=True)
class _Token:
    """``used_until`` is a time of ``time.monotonic``."""

    text: str = field(repr=False)
    used_until: float
