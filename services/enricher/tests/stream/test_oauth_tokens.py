"""Tokens for aiokafka: one is used until it is about to expire, and failures are sentences that aiokafka retries."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import jwt
import pytest
from cardwatch_enricher.stream.oauth_tokens import OAuthTokens
from cardwatch_service.kafka_settings import KafkaSettings
from support.certificates import Authority, server_context
from support.identity_provider import IdentityProvider

SECRET = "s3cret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(authority: Authority) -> Iterator[Callable[[int], IdentityProvider]]:
    """Starts identity providers whose tokens live for some seconds."""
    with ExitStack() as stack:
        yield lambda seconds: stack.enter_context(
            IdentityProvider(server_context(authority.issue("idp")), "cardwatch", SECRET, seconds)
        )


def tokens(provider: IdentityProvider, authority: Authority, **changes: str) -> OAuthTokens:
    given = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_oauth_token_endpoint_url": f"{provider.url}/token",
        "kafka_oauth_client_id": "cardwatch",
        "kafka_oauth_client_secret": SECRET,
        "kafka_oauth_scope": provider.scope,
        "kafka_oauth_extensions": "logicalCluster=lkc-1",
        "kafka_oauth_ssl_ca_location": str(authority.location),
        **changes,
    }
    return OAuthTokens(KafkaSettings.model_validate(given))


@pytest.mark.parametrize(("lifetime_seconds", "asked"), [(3600, 1), (20, 3)])
def test_a_token_is_used_until_it_is_about_to_expire(
    lifetime_seconds: int, asked: int, provider: Callable[[int], IdentityProvider], authority: Authority
) -> None:
    idp = provider(lifetime_seconds)
    made = tokens(idp, authority)
    got = [asyncio.run(made.token()) for _ in range(3)]  # each in an event loop of its own, as below Faust
    assert idp.asked == asked
    assert len(set(got)) == asked
    assert jwt.decode(got[0], options={"verify_signature": False})["sub"] == "cardwatch"
    assert made.extensions() == {"logicalCluster": "lkc-1"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kafka_oauth_client_secret": "wr0ng"}, r"it answers 401 .*invalid_client"),
        ({"kafka_oauth_scope": "another"}, r"it answers 400 .*invalid_request"),
        ({"kafka_oauth_token_endpoint_url": "https://127.0.0.1:9/token"}, r"https://127\.0\.0\.1:9/token: .*refused"),
    ],
)
def test_a_failure_is_one_that_aiokafka_retries(
    changes: dict[str, str], sentence: str, provider: Callable[[int], IdentityProvider], authority: Authority
) -> None:
    with pytest.raises(
        OSError, match=rf"no token for Kafka from {sentence if 'https' in sentence else '.*' + sentence}"
    ):
        asyncio.run(tokens(provider(60), authority, **changes).token())


def test_a_token_endpoint_of_another_authority_gets_no_secret(
    provider: Callable[[int], IdentityProvider], tmp_path: Path
) -> None:
    idp = provider(60)
    with pytest.raises(OSError, match=r"certificate verify failed.*_SSL_CA_LOCATION"):
        asyncio.run(tokens(idp, Authority(tmp_path, "other")).token())
    assert idp.asked == 0
