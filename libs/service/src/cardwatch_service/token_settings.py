"""The tokenisation key, shared by all services that see card numbers (enricher, producer)."""

from typing import Annotated, Final

from cardwatch_card_numbers.tokens import MIN_KEY_BYTES
from cardwatch_contracts.errors import ConfigurationError
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_service.loopback import servers_beyond_loopback
from cardwatch_service.settings import ServiceSettings, load_settings

# Published with the source: for a local platform and simulated cards, never for real ones.
DEVELOPMENT_KEY: Final = "636172647761746368206465762d6b65792c206e6f7420666f722070726f6421"
DEVELOPMENT_KEY_ID: Final = "dev-1"

# Of 16 random bytes, 8 or fewer are distinct once in 10^13 keys; placeholders and typed keys rarely have more.
_MIN_DISTINCT_BYTES: Final = 9


class TokenSettings(BaseSettings):
    """Settings ``CARDWATCH_TOKEN_KEY``, ``CARDWATCH_TOKEN_KEY_ID`` and ``CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY``.

    All services of a deployment must share the first two: with another key the same card has another token, and a rule
    then sees two cards. The defaults are a development key (``DEVELOPMENT_KEY``) and its id; services get their
    settings from ``load_token_settings``, which refuses that key beside a broker of another machine.
    """

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_TOKEN_", extra="ignore", frozen=True)

    key: Annotated[SecretStr, Field(description="HMAC key, hexadecimal, 16 bytes or more")] = SecretStr(DEVELOPMENT_KEY)
    key_id: Annotated[
        str, Field(min_length=1, max_length=64, description="name of the key, sent beside each token")
    ] = DEVELOPMENT_KEY_ID
    allow_development_key: Annotated[
        bool, Field(description="accept the published development key with any broker; only for simulated cards")
    ] = False

    @field_validator("key", mode="after")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        try:
            value = bytes.fromhex(key.get_secret_value())
        except ValueError:
            # "from None": the cause's message would quote the key.
            raise ValueError("expected the key as hexadecimal digits, two per byte") from None
        if len(value) < MIN_KEY_BYTES:
            raise ValueError(f"expected a key of at least {MIN_KEY_BYTES} bytes ({MIN_KEY_BYTES * 2} digits)")
        if len(set(value)) < _MIN_DISTINCT_BYTES:
            raise ValueError(
                f"expected a random key, got one with only {len(set(value))} different bytes, which can be guessed; "
                "`cardwatch keys generate` makes a random one"
            )
        return key

    def key_bytes(self) -> bytes:
        """The key itself."""
        return bytes.fromhex(self.key.get_secret_value())

    @property
    def is_development_key(self) -> bool:
        """Whether this is the key that is published with the source."""
        return self.key_bytes() == bytes.fromhex(DEVELOPMENT_KEY)


def load_token_settings(service: ServiceSettings) -> TokenSettings:
    """The token key from the environment, if it may be used with the broker of ``service``.

    Anybody who has the source can compute which card number has a token by the development key: there are too few card
    numbers to hide one (0.03 s with the BIN and the last four digits known). It is accepted only where every broker
    is on this machine, or where ``CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY`` is set.

    Raises:
        ConfigurationError: a setting is wrong, or the development key is used with a broker of another machine.
    """
    tokens = load_settings(TokenSettings)
    if tokens.is_development_key and not tokens.allow_development_key:
        beyond = servers_beyond_loopback(service.kafka_bootstrap_servers)
        if beyond:
            raise ConfigurationError(
                "CARDWATCH_TOKEN_KEY: expected a key of your own, got the development key, which is published with the "
                "source: anybody can compute the card numbers behind its tokens. It is accepted only where all of "
                "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS are loopback addresses (127.0.0.1, localhost), and "
                f"{', '.join(beyond)} is not. `cardwatch keys generate` (or `openssl rand -hex 32`) makes a key: set "
                "CARDWATCH_TOKEN_KEY and CARDWATCH_TOKEN_KEY_ID to the same values in all services that make tokens. "
                "For simulated cards only: CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY=true"
            )
    return tokens
