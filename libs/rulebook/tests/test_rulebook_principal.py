"""Who is recorded as the author of a change."""

import pytest
from cardwatch_rulebook.principal import Principal, describe_principal, login_name, principal_of
from cardwatch_service.settings import ServiceSettings

SASL = {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_sasl_username": "anna"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kafka_security_protocol": "SASL_SSL", **SASL}, Principal("User:anna", authenticated=True)),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", **SASL}, Principal("User:anna", authenticated=True)),
        # The client sends no user name over these, whatever is set.
        ({"kafka_security_protocol": "PLAINTEXT", **SASL}, Principal("login")),
        ({"kafka_security_protocol": "SSL", **SASL}, Principal("login")),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN"}, Principal("login")),
        ({"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "anna"}, Principal("login")),
        ({}, Principal("login")),
    ],
)
def test_the_principal_is_the_user_that_the_broker_authenticates(
    settings: dict[str, str], expected: Principal
) -> None:
    assert principal_of(ServiceSettings(**settings), lambda: "login") == expected  # type: ignore[arg-type]


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
