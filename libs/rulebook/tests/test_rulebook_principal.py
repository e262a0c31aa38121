"""Who is recorded as the author of a change."""

from pathlib import Path

import pytest
from cardwatch_rulebook.principal import Principal, describe_principal, login_name, principal_of
from cardwatch_service.settings import ServiceSettings
from support.certificates import Authority

SCRAM = {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_sasl_username": "anna", "kafka_sasl_password": "s3cret"}
OAUTH = {
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_oauth_token_endpoint_url": "https://idp/token",
    "kafka_oauth_client_id": "desk",
    "kafka_oauth_client_secret": "s3cret",
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kafka_security_protocol": "SASL_SSL", **SCRAM}, Principal("User:anna", authenticated=True)),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", **SCRAM}, Principal("User:anna", authenticated=True)),
        ({"kafka_security_protocol": "SASL_SSL", **OAUTH}, Principal("User:desk", authenticated=True)),
        # The client sends no user name over these, whatever is set.
        ({"kafka_sasl_username": "anna"}, Principal("login")),
        ({"kafka_security_protocol": "SSL", "kafka_sasl_username": "anna"}, Principal("login")),
        ({}, Principal("login")),
    ],
)
def test_the_principal_is_the_user_that_the_broker_authenticates(settings: dict[str, str], expected: Principal) -> None:
    assert principal_of(ServiceSettings(**settings), lambda: "login") == expected  # type: ignore[arg-type]


def test_the_principal_of_a_client_certificate_is_its_subject(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("anna")
    location = str(pair.certificate)
    files = {"kafka_ssl_certificate_location": location, "kafka_ssl_key_location": str(pair.key)}
    settings = ServiceSettings(kafka_security_protocol="SSL", **files)  # type: ignore[arg-type]
    assert principal_of(settings) == Principal("User:CN=anna", authenticated=True)
    both = ServiceSettings(kafka_security_protocol="SASL_SSL", **files, **SCRAM)  # type: ignore[arg-type]
    assert principal_of(both) == Principal("User:anna", authenticated=True), "the broker takes the login"


def test_no_variable_chooses_the_login_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = login_name()
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER", "CARDWATCH_USER"):
        monkeypatch.setenv(variable, "somebody-else")
    assert login_name() == before


def test_a_user_id_without_a_name_is_shown_as_a_number() -> None:
    assert login_name(4_000_123) == "uid 4000123"


def test_a_name_that_nobody_has_checked_is_marked() -> None:
    assert describe_principal("User:anna", authenticated=True) == "User:anna"
    assert describe_principal("anna", authenticated=False) == "anna (not authenticated)"
    assert describe_principal("anna", authenticated=False, stated_name="ben") == "anna (not authenticated, by: ben)"
