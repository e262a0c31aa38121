"""The connection settings as options of Java's Kafka clients."""

from typing import Any

import pytest
from cardwatch_kafka.java_clients import java_config
from cardwatch_service.kafka_settings import KafkaSettings
from support.certificates import Authority

SECURITY = "org.apache.kafka.common.security"
OAUTH = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_oauth_token_endpoint_url": "https://idp/token",
    "kafka_oauth_client_id": "cardwatch",
    "kafka_oauth_client_secret": "s3cret",
}


def config(package: str = SECURITY, **settings: Any) -> dict[str, str]:
    return java_config(KafkaSettings.model_validate(settings), package)


def test_a_plain_connection_has_nothing_else() -> None:
    assert config() == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"}


def test_a_certificate_and_its_key_are_texts(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    pair = authority.issue("cardwatch", password="s3cret")
    shared = {
        "kafka_security_protocol": "SSL",
        "kafka_ssl_ca_location": str(authority.location),
        "kafka_ssl_key_password": "s3cret",
    }
    separate = config(
        **shared, kafka_ssl_certificate_location=str(pair.certificate), kafka_ssl_key_location=str(pair.key)
    )
    assert separate == config(**shared, kafka_ssl_certificate_location=str(pair.both))
    assert separate == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.location),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": pair.certificate.read_text().strip(),
        "ssl.keystore.key": pair.key.read_text().strip(),
        "ssl.key.password": "s3cret",
    }


def test_tokens_are_the_login_modules_own_business() -> None:
    odd = {"kafka_oauth_client_secret": 'a"b\\c\nd', "kafka_oauth_scope": "kafka", "kafka_oauth_extensions": "lc=1"}
    found = config(**{**OAUTH, **odd})
    assert found["sasl.jaas.config"] == (
        f'{SECURITY}.oauthbearer.OAuthBearerLoginModule required clientId="cardwatch" clientSecret="a\\"b\\\\c\\nd" '
        'scope="kafka" extension_lc="1";'
    )
    assert found["sasl.login.callback.handler.class"] == f"{SECURITY}.oauthbearer.OAuthBearerLoginCallbackHandler"
    assert found["sasl.oauthbearer.token.endpoint.url"] == "https://idp/token"


def test_the_package_of_the_client_may_be_another() -> None:
    found = config("kafkashaded.org.apache.kafka.common.security", **OAUTH)
    assert found["sasl.jaas.config"].startswith("kafkashaded.org.apache.kafka.common.security.oauthbearer.")
    assert found["sasl.login.callback.handler.class"].startswith("kafkashaded.")


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [("PLAIN", "plain.PlainLoginModule"), ("SCRAM-SHA-256", "scram.ScramLoginModule")],
)
def test_passwords(mechanism: str, module: str) -> None:
    found = config(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism=mechanism,
        kafka_sasl_username="me",
        kafka_sasl_password='p"w',
    )
    assert found["sasl.jaas.config"] == f'{SECURITY}.{module} required username="me" password="p\\"w";'
