"""The tokenisation key, shared by all services that see card numbers (enricher, producer)."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Final, NamedTuple, Self

from cardwatch_card_numbers.rotation import TokenRotation
from cardwatch_card_numbers.tokens import MIN_KEY_BYTES
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_units.timestamps import to_microseconds
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_service.loopback import servers_beyond_loopback
from cardwatch_service.settings import ServiceSettings, load_settings

# Published with the source: for a local platform and simulated cards, never for real ones.
DEVELOPMENT_KEY: Final = "636172647761746368206465762d6b65792c206e6f7420666f722070726f6421"
DEVELOPMENT_KEY_ID: Final = "dev-1"

# Of 16 random bytes, 8 or fewer are distinct once in 10^13 keys; placeholders and typed keys rarely have more.
_MIN_DISTINCT_BYTES: Final = 9


class TokenKey(NamedTuple):
    """A key and its name."""

    key: bytes
    key_id: str


class RotationSettings(BaseSettings):
    """The settings of a rotation that are no secrets, for services that see tokens and no card numbers.

    ``CARDWATCH_TOKEN_KEY_ID``, ``CARDWATCH_TOKEN_NEXT_KEY_ID`` and ``CARDWATCH_TOKEN_NEXT_FROM``; docs/token-keys.md.
    """

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_TOKEN_", extra="ignore", frozen=True)

    key_id: Annotated[
        str, Field(min_length=1, max_length=64, description="name of the key, sent beside each token")
    ] = DEVELOPMENT_KEY_ID
    next_key_id: Annotated[str, Field(max_length=64, description="name of the next key, during a rotation")] = ""
    next_from: Annotated[
        date | None,
        Field(description="day (UTC) from whose first event time on the next key's tokens are the cards' tokens"),
    ] = None

    @field_validator("next_from", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _check_rotation(self) -> Self:
        if bool(self.next_key_id) != (self.next_from is not None):
            raise ValueError(
                "CARDWATCH_TOKEN_NEXT_KEY_ID and CARDWATCH_TOKEN_NEXT_FROM: expected both or neither, got one of them"
            )
        if self.next_key_id == self.key_id:
            raise ValueError(
                f"CARDWATCH_TOKEN_NEXT_KEY_ID={self.next_key_id}: expected another name than CARDWATCH_TOKEN_KEY_ID, "
                "got the same: it is what tells the tokens of the two keys apart"
            )
        return self

    def rotation(self) -> TokenRotation:
        """Which key's tokens are the cards' tokens at which event time."""
        if self.next_from is None:
            return TokenRotation(self.key_id)
        switch = datetime.combine(self.next_from, time(), UTC)
        return TokenRotation(self.key_id, self.next_key_id, to_microseconds(switch))


class TokenSettings(RotationSettings):
    """The token keys: ``CARDWATCH_TOKEN_KEY`` and, during a rotation, ``CARDWATCH_TOKEN_NEXT_KEY``.

    All services of a deployment must share them and their names: with another key the same card has another token, and
    a rule then sees two cards. The defaults are a development key (``DEVELOPMENT_KEY``) and its id; services get their
    settings from ``load_token_settings``, which refuses that key beside a broker of another machine.
    """

    key: Annotated[SecretStr, Field(description="HMAC key, hexadecimal, 16 bytes or more")] = SecretStr(DEVELOPMENT_KEY)
    next_key: Annotated[SecretStr, Field(description="the next HMAC key, during a rotation")] = SecretStr("")
    allow_development_key: Annotated[
        bool, Field(description="accept the published development key with any broker; only for simulated cards")
    ] = False

    @field_validator("key", mode="after")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        return _checked_key(key)

    @field_validator("next_key", mode="after")
    @classmethod
    def _check_next_key(cls, key: SecretStr) -> SecretStr:
        return _checked_key(key) if key.get_secret_value() else key

    @model_validator(mode="after")
    def _check_next(self) -> Self:
        if bool(self.next_key.get_secret_value()) != bool(self.next_key_id):
            raise ValueError(
                "CARDWATCH_TOKEN_NEXT_KEY and CARDWATCH_TOKEN_NEXT_KEY_ID: expected both or neither, got one of them"
            )
        if self.next_key.get_secret_value() and bytes.fromhex(self.next_key.get_secret_value()) == self.key_bytes():
            raise ValueError("CARDWATCH_TOKEN_NEXT_KEY: expected another key than CARDWATCH_TOKEN_KEY, got the same")
        return self

    def key_bytes(self) -> bytes:
        """The key itself."""
        return bytes.fromhex(self.key.get_secret_value())

    def token_keys(self) -> list[TokenKey]:
        """The key, and during a rotation the next one."""
        following = [TokenKey(bytes.fromhex(self.next_key.get_secret_value()), self.next_key_id)]
        return [TokenKey(self.key_bytes(), self.key_id), *(following if self.next_key_id else [])]

    @property
    def has_development_key(self) -> bool:
        """Whether one of the keys is the key that is published with the source."""
        return any(key == bytes.fromhex(DEVELOPMENT_KEY) for key, _ in self.token_keys())


def _checked_key(key: SecretStr) -> SecretStr:
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


def load_token_settings(service: ServiceSettings) -> TokenSettings:
    """The token key from the environment, if it may be used with the broker of ``service``.

    Anybody who has the source can compute which card number has a token by the development key: there are too few card
    numbers to hide one (0.03 s with the BIN and the last four digits known). It is accepted only where every broker
    is on this machine, or where ``CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY`` is set.

    Raises:
        ConfigurationError: a setting is wrong, or the development key is used with a broker of another machine.
    """
    tokens = load_settings(TokenSettings)
    if tokens.has_development_key and not tokens.allow_development_key:
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
