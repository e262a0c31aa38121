"""Connections to Kafka and the registry: what is wrong with their settings is said before anything connects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.loopback import is_loopback
from cardwatch_service.settings import ServiceSettings, load_settings
from cryptography.hazmat.primitives import serialization
from support.certificates import Authority, KeyPair

OAUTH = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "https://idp/token",
    "KAFKA_OAUTH_CLIENT_ID": "cardwatch",
    "KAFKA_OAUTH_CLIENT_SECRET": "s3cret",
}
SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "s3cret",
}
FAR = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,broker:9092"}

Load = Callable[..., ServiceSettings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the settings of an environment."""

    def from_environment(**variables: Any) -> ServiceSettings:
        for name, value in variables.items():
            monkeypatch.setenv(f"CARDWATCH_{name}", str(value))
        return load_settings(ServiceSettings)

    return from_environment


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> KeyPair:
    return authority.issue("cardwatch")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, r"SASL_MECHANISM=PLAIN is set, but .*PROTOCOL=PLAINTEXT does not log in"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, r"needs CARDWATCH_KAFKA_SASL_MECHANISM; expected PLAIN"),
        ({**SCRAM, "KAFKA_SASL_MECHANISM": "GSSAPI"}, r"CARDWATCH_KAFKA_SASL_MECHANISM='GSSAPI'"),
        ({**SCRAM, "KAFKA_SASL_PASSWORD": ""}, r"needs CARDWATCH_KAFKA_SASL_USERNAME and CARDWATCH_KAFKA_SASL_PASS"),
        ({**SCRAM, **FAR, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, r"unencrypted to another machine .*SASL_SSL"),
        ({**OAUTH, **FAR, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, r"unencrypted to another machine .*SASL_SSL"),
        ({**OAUTH, "KAFKA_OAUTH_CLIENT_ID": ""}, r"OAUTHBEARER needs CARDWATCH_KAFKA_OAUTH_CLIENT_ID$"),
        ({**OAUTH, "KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "http://idp/token"}, r"http:// URL on another machine"),
        ({**OAUTH, "KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "idp/token"}, r"ENDPOINT_URL cannot be used; expected a URL"),
        ({**OAUTH, "KAFKA_OAUTH_EXTENSIONS": "lkc-1"}, r"EXTENSIONS cannot be used; expected name=value"),
        ({**OAUTH, "KAFKA_OAUTH_SSL_CA_LOCATION": "/no"}, r"CARDWATCH_KAFKA_OAUTH_SSL_CA_LOCATION=/no cannot be read"),
        ({"SCHEMA_REGISTRY_BASIC_AUTH": "s3cret"}, r"BASIC_AUTH cannot be used; expected user:password"),
        (
            {"SCHEMA_REGISTRY_BASIC_AUTH": "u:s3cret", "SCHEMA_REGISTRY_BEARER_TOKEN": "s3cret"},
            r"BASIC_AUTH and CARDWATCH_SCHEMA_REGISTRY_BEARER_TOKEN are set; expected at most one",
        ),
        (
            {"SCHEMA_REGISTRY_BEARER_TOKEN": "s3cret", "SCHEMA_REGISTRY_URL": "http://far/"},
            r"TOKEN would be sent unenc",
        ),
        ({"SCHEMA_REGISTRY_BASIC_AUTH": "u:s3cret", "SCHEMA_REGISTRY_URL": "http://far/"}, r"AUTH would be sent unenc"),
        ({"SCHEMA_REGISTRY_BEARER_TOKEN_FILE": "/no"}, r"BEARER_TOKEN_FILE=/no cannot be read: No such file"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(load: Load, variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        load(**variables)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        SCRAM,
        OAUTH,
        {**SCRAM, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},  # on the loopback interface
        {**SCRAM, **FAR, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "ALLOW_CREDENTIALS_WITHOUT_TLS": "true"},
        {**OAUTH, "KAFKA_OAUTH_TOKEN_ENDPOINT_URL": "http://localhost:1/token"},
        {"SCHEMA_REGISTRY_BEARER_TOKEN": "t", "SCHEMA_REGISTRY_URL": "https://far/"},
        {
            "SCHEMA_REGISTRY_BASIC_AUTH": "u:p",
            "SCHEMA_REGISTRY_URL": "http://far/",
            "ALLOW_CREDENTIALS_WITHOUT_TLS": "true",
        },
    ],
)
def test_settings_that_work_are_taken(load: Load, variables: dict[str, str]) -> None:
    load(**variables)


@pytest.mark.parametrize("prefix", ["KAFKA_SSL", "SCHEMA_REGISTRY_SSL"])
class TestCertificates:
    """Of Kafka and of the registry: the same files, checked in the same way."""

    @pytest.fixture
    def load_files(self, load: Load, prefix: str) -> Load:
        used = {"KAFKA_SECURITY_PROTOCOL": "SSL", "SCHEMA_REGISTRY_URL": "https://registry/"}

        def load_prefixed(**files: Any) -> ServiceSettings:
            return load(**used, **{f"{prefix}_{name}": value for name, value in files.items()})

        return load_prefixed

    def test_one_file_or_two(self, load_files: Load, pair: KeyPair, authority: Authority) -> None:
        load_files(CA_LOCATION=authority.location, CERTIFICATE_LOCATION=pair.both)
        load_files(CERTIFICATE_LOCATION=pair.certificate, KEY_LOCATION=pair.key)

    def test_a_password_opens_the_key(self, load_files: Load, authority: Authority) -> None:
        locked = authority.issue("locked", password="s3cret")
        load_files(CERTIFICATE_LOCATION=locked.both, KEY_PASSWORD="s3cret")
        for password in ("", "wr0ng"):
            with pytest.raises(ConfigurationError, match=r"_KEY_PASSWORD does not open the key") as refused:
                load_files(CERTIFICATE_LOCATION=locked.both, KEY_PASSWORD=password)
            assert "wr0ng" not in str(refused.value)

    def test_a_certificate_without_its_key(self, load_files: Load, prefix: str, pair: KeyPair) -> None:
        with pytest.raises(ConfigurationError, match=f"{prefix}_CERTIFICATE_LOCATION=.*holds no private key"):
            load_files(CERTIFICATE_LOCATION=pair.certificate)

    def test_a_key_without_its_certificate(self, load_files: Load, prefix: str, pair: KeyPair) -> None:
        with pytest.raises(ConfigurationError, match=f"is set without CARDWATCH_{prefix}_CERTIFICATE_LOCATION"):
            load_files(KEY_LOCATION=pair.key)

    def test_the_key_of_another_certificate(self, load_files: Load, authority: Authority, pair: KeyPair) -> None:
        with pytest.raises(ConfigurationError, match=r"do not belong together"):
            load_files(CERTIFICATE_LOCATION=pair.certificate, KEY_LOCATION=authority.issue("other").key)

    def test_a_key_that_java_cannot_read(self, load_files: Load, pair: KeyPair, tmp_path: Path) -> None:
        old = tmp_path / "old.key"
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        old.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        with pytest.raises(ConfigurationError, match=r"holds EC PRIVATE KEY; expected PKCS#8 .*openssl pkcs8 -topk8"):
            load_files(CERTIFICATE_LOCATION=pair.certificate, KEY_LOCATION=old)

    def test_all_problems_at_once(self, load_files: Load, prefix: str, pair: KeyPair, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        with pytest.raises(ConfigurationError) as refused:
            load_files(CA_LOCATION=tmp_path / "empty", CERTIFICATE_LOCATION="/missing", KEY_LOCATION=pair.certificate)
        text = str(refused.value)
        assert f"CARDWATCH_{prefix}_CA_LOCATION={tmp_path}/empty holds no certificate; expected PEM" in text
        assert f"CARDWATCH_{prefix}_CERTIFICATE_LOCATION=/missing cannot be read: No such file" in text
        assert f"CARDWATCH_{prefix}_KEY_LOCATION={pair.certificate} holds no private key" in text


def test_a_certificate_that_nothing_would_use_is_refused(load: Load, pair: KeyPair) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(KAFKA_SSL_CERTIFICATE_LOCATION=pair.both, SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION=pair.both)
    assert "CARDWATCH_KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not use it; expected SSL or SASL_SSL" in str(refused.value)
    assert "CARDWATCH_SCHEMA_REGISTRY_URL=http://127.0.0.1:8081" in str(refused.value)


def test_librdkafka_has_certificate_and_token(load: Load, pair: KeyPair) -> None:
    settings = load(
        **OAUTH, KAFKA_OAUTH_SCOPE="kafka", KAFKA_OAUTH_EXTENSIONS="a=b, c=d", KAFKA_SSL_CERTIFICATE_LOCATION=pair.both
    )
    assert settings.kafka_config() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "https://idp/token",
        "sasl.oauthbearer.client.id": "cardwatch",
        "sasl.oauthbearer.client.secret": "s3cret",
        "sasl.oauthbearer.scope": "kafka",
        "sasl.oauthbearer.extensions": "a=b,c=d",
        "ssl.certificate.location": str(pair.both),
        "ssl.key.location": str(pair.both),
    }
    assert "s3cret" not in repr(settings)


def test_the_registry_trusts_kafkas_authority_unless_it_has_its_own(load: Load, authority: Authority) -> None:
    assert load(KAFKA_SSL_CA_LOCATION=authority.location).registry_access().ca_location == str(authority.location)
    other = authority.issue("other").certificate
    assert load(SCHEMA_REGISTRY_SSL_CA_LOCATION=other).registry_access().ca_location == str(other)


def test_a_token_file_is_read_at_every_request(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    token = load(SCHEMA_REGISTRY_BEARER_TOKEN_FILE=file).registry_access().bearer_token
    assert token is not None
    assert token() == "first"
    file.write_text("second\n")
    assert token() == "second"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "kafka", "localhost.example", "10.0.0.1", "0.0.0.0", "128.0.0.1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
