"""The tokenisation key, shared by all services that see card numbers (enricher, producer)."""

from typing import Annotated, Final

from cardwatch_card_numbers.tokens import MIN_KEY_BYTES
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Published with the source: for a local platform and simulated cards, never for real ones.
DEVELOPMENT_KEY: Final = "636172647761746368206465762d6b65792c206e6f7420666f722070726f6421"
DEVELOPMENT_KEY_ID: Final = "dev-1"


class TokenSettings(BaseSettings):
    """Settings ``CARDWATCH_TOKEN_KEY`` and ``CARDWATCH_TOKEN_KEY_ID``.

    All services of a deployment must share both: with another key the same card has another token, and a rule then
    sees two cards. The defaults are a development key (``DEVELOPMENT_KEY``) and its id.
    """

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_TOKEN_", extra="ignore", frozen=True)

    key: Annotated[SecretStr, Field(description="HMAC key, hexadecimal, 16 bytes or more")] = SecretStr(DEVELOPMENT_KEY)
    key_id: Annotated[
        str, Field(min_length=1, max_length=64, description="name of the key, sent beside each token")
    ] = DEVELOPMENT_KEY_ID

    @field_validator("key", mode="after")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        try:
            size = len(bytes.fromhex(key.get_secret_value()))
        except ValueError:
            # "from None": the cause's message would quote the key.
            raise ValueError("expected the key as hexadecimal digits, two per byte") from None
        if size < MIN_KEY_BYTES:
            raise ValueError(f"expected a key of at least {MIN_KEY_BYTES} bytes ({MIN_KEY_BYTES * 2} digits)")
        return key

    def key_bytes(self) -> bytes:
        """The key itself."""
        return bytes.fromhex(self.key.get_secret_value())
