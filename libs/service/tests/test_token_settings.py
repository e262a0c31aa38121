"""Which token keys are accepted with which brokers."""

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.token_settings import DEVELOPMENT_KEY, TokenSettings, load_token_settings

OWN_KEY = bytes(range(100, 132)).hex()

LOOPBACK = (
    "127.0.0.1:9092",
    "localhost:9092",
    "LOCALHOST:9092",
    "127.0.0.2:29092,localhost:9092",
    "[::1]:9092",
    "::1",
    "[::ffff:127.0.0.1]:9092",
    "PLAINTEXT://127.0.0.1:9092",
    " 127.0.0.1:9092 , ",
)
BEYOND = (
    "kafka:9092",
    "10.0.0.1:9092",
    "0.0.0.0:9092",
    "[::]:9092",
    "[2001:db8::1]:9092",
    "127.0.0.1:9092,kafka:9092",
    "kafka:9092,127.0.0.1:9092",
    "127.0.0.1.example.com:9092",
    "localhost.example.com:9092",
    "notlocalhost:9092",
    "SASL_SSL://broker-1:9093",
    "127.1:9092",
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY", "KEY_ID", "ALLOW_DEVELOPMENT_KEY", "NEXT_KEY", "NEXT_KEY_ID", "NEXT_FROM"):
        monkeypatch.delenv(f"CARDWATCH_TOKEN_{name}", raising=False)
    monkeypatch.delenv("CARDWATCH_SECRETS_DIR", raising=False)


@pytest.mark.parametrize("servers", LOOPBACK)
def test_the_development_key_is_accepted_with_brokers_on_this_machine(servers: str) -> None:
    assert load_token_settings(ServiceSettings(kafka_bootstrap_servers=servers)).has_development_key


@pytest.mark.parametrize("servers", BEYOND)
def test_the_development_key_is_refused_beside_any_other_broker(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="cardwatch keys generate") as raised:
        load_token_settings(ServiceSettings(kafka_bootstrap_servers=servers))
    assert DEVELOPMENT_KEY not in str(raised.value)


@pytest.mark.parametrize("given", [DEVELOPMENT_KEY, DEVELOPMENT_KEY.upper()])
def test_the_development_key_is_refused_if_it_is_set_under_another_name(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY", given)
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY_ID", "production-1")
    with pytest.raises(ConfigurationError, match="development key"):
        load_token_settings(ServiceSettings(kafka_bootstrap_servers="kafka:9092"))


def test_the_development_key_can_be_allowed_explicitly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY", "true")
    assert load_token_settings(ServiceSettings(kafka_bootstrap_servers="kafka:9092")).has_development_key


def test_a_key_of_ones_own_is_accepted_with_any_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY", OWN_KEY)
    assert load_token_settings(ServiceSettings(kafka_bootstrap_servers="kafka:9092")).key_bytes().hex() == OWN_KEY


@pytest.mark.parametrize("placeholder", ["00" * 32, "ff" * 16, "6b" * 32, "0123456789abcdef" * 4])
def test_a_placeholder_is_not_a_key(placeholder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY", placeholder)
    with pytest.raises(ConfigurationError, match="expected a random key") as raised:
        load_settings(TokenSettings)
    assert placeholder not in str(raised.value)


ROTATION = {
    "KEY": OWN_KEY,
    "KEY_ID": "k1",
    "NEXT_KEY": bytes(range(32)).hex(),
    "NEXT_KEY_ID": "k2",
    "NEXT_FROM": "2026-01-02",
}


def load(monkeypatch: pytest.MonkeyPatch, **changes: str) -> TokenSettings:
    for name, value in {**ROTATION, **changes}.items():
        monkeypatch.setenv(f"CARDWATCH_TOKEN_{name}", value)
    return load_settings(TokenSettings)


def test_a_rotation_has_two_keys_and_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert [(key.hex(), key_id) for key, key_id in settings.token_keys()] == [
        (OWN_KEY, "k1"),
        (ROTATION["NEXT_KEY"], "k2"),
    ]
    midnight = 1_767_312_000_000_000  # 2026-01-02T00:00:00Z
    assert [settings.rotation().key_id_at(at) for at in (0, midnight - 1, midnight)] == ["k1", "k1", "k2"]


def test_empty_settings_are_no_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, NEXT_KEY="", NEXT_KEY_ID="", NEXT_FROM="")
    assert len(settings.token_keys()) == 1
    assert settings.rotation().key_id_at(2**62) == "k1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"NEXT_KEY": ""}, "NEXT_KEY and CARDWATCH_TOKEN_NEXT_KEY_ID: expected both or neither"),
        ({"NEXT_KEY_ID": ""}, "NEXT_KEY_ID and CARDWATCH_TOKEN_NEXT_FROM: expected both or neither"),
        ({"NEXT_FROM": ""}, "NEXT_KEY_ID and CARDWATCH_TOKEN_NEXT_FROM: expected both or neither"),
        ({"NEXT_KEY_ID": "k1"}, "expected another name than CARDWATCH_TOKEN_KEY_ID"),
        ({"NEXT_KEY": OWN_KEY}, "expected another key than CARDWATCH_TOKEN_KEY"),
        ({"NEXT_KEY": "00" * 32}, "CARDWATCH_TOKEN_NEXT_KEY: expected a random key"),
        ({"NEXT_FROM": "tomorrow"}, "CARDWATCH_TOKEN_NEXT_FROM"),
    ],
)
def test_half_a_rotation_is_refused_without_quoting_a_key(
    changes: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        load(monkeypatch, **changes)
    assert OWN_KEY not in str(raised.value)
    assert ROTATION["NEXT_KEY"] not in str(raised.value)


def test_the_development_key_is_refused_as_the_next_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, NEXT_KEY=DEVELOPMENT_KEY)
    with pytest.raises(ConfigurationError, match="development key"):
        load_token_settings(ServiceSettings(kafka_bootstrap_servers="kafka:9092"))
