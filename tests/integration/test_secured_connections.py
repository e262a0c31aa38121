"""Every client against a broker, a token endpoint and a registry that demand certificates and tokens.

One broker for all: client certificates at one listener, OAUTHBEARER at another; its ACLs let only the right user in.
"""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_SILVER
from cardwatch_enricher.stream.faust_settings import credentials
from cardwatch_enricher.stream.oauth_tokens import OAuthTokens
from cardwatch_kafka.configuration import admin_config
from cardwatch_service.settings import ServiceSettings, load_settings
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from support import spark_on_secured_kafka
from support.certificates import Authority
from support.kafka import KafkaTopics, read_messages
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment
from support.records import transaction_document
from support.secured_platform import CLIENT_SECRET, KEY_PASSWORD, REGISTRY_TOKEN, SecuredPlatform, secured_platform

pytestmark = [pytest.mark.integration, pytest.mark.faults]

Load = Callable[[dict[str, str]], ServiceSettings]

REFUSED_SECONDS = 3.0
LATER_SECONDS = 12.0  # the broker has ended each connection without a new login, and the first token was replaced


@pytest.fixture(scope="module")
def secured(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredPlatform]:
    with secured_platform(platform, tmp_path_factory.mktemp("secured")) as started:
        yield started


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a service's settings from an environment."""

    def from_environment(environment: dict[str, str]) -> ServiceSettings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings(ServiceSettings)

    return from_environment


def topics_seen_by_librdkafka(loaded: ServiceSettings) -> set[str]:
    return set(AdminClient(admin_config(loaded.kafka_config())).list_topics(timeout=REFUSED_SECONDS).topics)


def topics_seen_by_aiokafka(loaded: ServiceSettings) -> set[str]:
    async def ask() -> set[str]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=loaded.kafka_bootstrap_servers,
            request_timeout_ms=round(REFUSED_SECONDS * 1000),
            # As Faust passes them on.
            **credentials_to_aiokafka_auth(credentials(loaded)),
        )
        try:
            await consumer.start()
            return set(await consumer.topics())
        finally:
            await consumer.stop()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def topic(secured: SecuredPlatform) -> str:
    """A topic that only the right user may see."""
    name = f"t{uuid.uuid4().hex[:8]}"
    admin = AdminClient(admin_config({"bootstrap.servers": secured.bootstrap_servers}))
    admin.create_topics([NewTopic(name, 1)])[name].result()
    return name


@pytest.mark.parametrize("protocol", ["mtls", "oauth"])
def test_the_right_user_is_let_in(protocol: str, secured: SecuredPlatform, load: Load, topic: str) -> None:
    loaded = load(getattr(secured, protocol)())
    assert topic in topics_seen_by_librdkafka(loaded)
    assert topic in topics_seen_by_aiokafka(loaded)


@pytest.mark.parametrize("protocol", ["mtls", "oauth"])
def test_a_service_with_all_its_clients(
    protocol: str, secured: SecuredPlatform, platform: Platform, tmp_path: Path
) -> None:
    """The CLI's admin client, the enricher's aiokafka and librdkafka, and the registry's client of both."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    environment = service_environment(platform, prefix, **getattr(secured, protocol)())
    for command in ("apply", "check"):
        done = subprocess.run(
            [installed_command("cardwatch"), "schemas", command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    topics = KafkaTopics(secured, prefix)
    enricher = ServiceProcess([installed_command("cardwatch-enricher")], environment, tmp_path / "enricher.log")
    enricher.start()
    try:
        enricher.wait_for(enricher.is_ready, "readiness")
        for number in (1, 2):
            topics.send(TRANSACTIONS_JSON, json.dumps(transaction(number)).encode(), b"k")
            topics.flush()
            enricher.wait_for(lambda expected=number: len(topics.records(TRANSACTIONS_SILVER)) == expected, "silver")
            if number == 1 and protocol == "oauth":
                asked = secured.identity_provider.asked
                time.sleep(LATER_SECONDS)
                assert secured.identity_provider.asked > asked, "no client has got another token"
        enricher.stop()
    finally:
        enricher.kill()
    log = enricher.log_path.read_text()
    assert not any(secret in log for secret in (CLIENT_SECRET, KEY_PASSWORD, REGISTRY_TOKEN, "eyJ"))


def transaction(number: int) -> dict[str, Any]:
    return transaction_document(transaction_id=f"t-{number}")


def stranger(authority: Authority) -> dict[str, str]:
    """Settings with a certificate of somebody else."""
    pair = authority.issue("stranger")
    return {
        "CARDWATCH_KAFKA_SSL_CERTIFICATE_LOCATION": str(pair.both),
        "CARDWATCH_KAFKA_SSL_KEY_LOCATION": "",
        "CARDWATCH_KAFKA_SSL_KEY_PASSWORD": "",
    }


@pytest.mark.parametrize("case", ["no certificate", "another authority", "wrong secret", "an unknown broker"])
def test_the_broker_lets_nobody_else_in(case: str, secured: SecuredPlatform, load: Load, tmp_path: Path) -> None:
    nothing = {f"CARDWATCH_KAFKA_SSL_{name}": "" for name in ("CERTIFICATE_LOCATION", "KEY_LOCATION", "KEY_PASSWORD")}
    other = Authority(tmp_path, "other authority")
    environment = {
        "no certificate": lambda: {**secured.mtls(), **nothing},
        "another authority": lambda: {**secured.mtls(), **stranger(other)},
        "wrong secret": lambda: {**secured.oauth(), "CARDWATCH_KAFKA_OAUTH_CLIENT_SECRET": "wrong"},
        "an unknown broker": lambda: {**secured.mtls(), "CARDWATCH_KAFKA_SSL_CA_LOCATION": str(other.location)},
    }[case]()
    loaded = load(environment)
    with pytest.raises(KafkaException):
        topics_seen_by_librdkafka(loaded)
    with pytest.raises(KafkaError):
        topics_seen_by_aiokafka(loaded)
    if case == "wrong secret":
        with pytest.raises(ConnectionError, match=r"no token for Kafka .* 401 .*check CARDWATCH_KAFKA_OAUTH_TOKEN"):
            asyncio.run(OAuthTokens(loaded).token())


def test_a_certificate_is_a_user(secured: SecuredPlatform, load: Load, topic: str) -> None:
    """A certificate of the right authority, but of a user without rights, sees no topic."""
    loaded = load({**secured.mtls(), **stranger(secured.authority)})
    assert topic not in topics_seen_by_librdkafka(loaded)
    assert topic not in topics_seen_by_aiokafka(loaded)


def test_the_registry_demands_both(secured: SecuredPlatform, load: Load) -> None:
    asked = secured.mtls()
    assert load(asked).registry().schema_by_id(2_000_000_000) is None
    refusal = r"refuses the login \(401, Unauthorized\): check CARDWATCH_SCHEMA_REGISTRY_BASIC_AUTH, _BEARER_TOKEN"
    for call in ("schema_by_id", "register"):
        registry = load({**asked, "CARDWATCH_SCHEMA_REGISTRY_BEARER_TOKEN": "wrong"}).registry()
        with pytest.raises(RegistryUnavailableError, match=refusal):
            registry.schema_by_id(1) if call == "schema_by_id" else registry.register("subject", "alert")
    for name in ("CERTIFICATE_LOCATION", "KEY_LOCATION", "KEY_PASSWORD"):
        asked[f"CARDWATCH_SCHEMA_REGISTRY_SSL_{name}"] = ""
    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        load(asked).registry().schema_by_id(1)


def test_spark_reads_and_writes_and_shows_no_secret(
    secured: SecuredPlatform, platform: Platform, tmp_path: Path
) -> None:
    source = f"t{uuid.uuid4().hex[:8]}"
    groups = {"mtls": secured.mtls(), "oauth": secured.oauth()}
    targets = [f"{source}.by-{name}" for name in groups]
    admin = AdminClient(admin_config({"bootstrap.servers": secured.bootstrap_servers}))
    for created in admin.create_topics([NewTopic(name, 1) for name in (source, *targets)]).values():
        created.result()
    producer = Producer({"bootstrap.servers": secured.bootstrap_servers})
    producer.produce(source, b"payload")
    assert producer.flush(30) == 0
    (tmp_path / "groups.json").write_text(json.dumps(groups))
    done = subprocess.run(
        [sys.executable, spark_on_secured_kafka.__file__, tmp_path / "groups.json", source, tmp_path / "spark"],
        env=service_environment(platform, "", CARDWATCH_SPARK_LOG_LEVEL="INFO"),
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for target in targets:
        values = [message.value() for message in read_messages(secured.bootstrap_servers, target)]
        assert values == [b"payload", b"payload"], "by the stream and by the batch"

    (tmp_path / "spark" / "log").write_text(done.stderr)
    (tmp_path / "spark" / "output").write_text(done.stdout)
    told = {str(path): path.read_text("utf-8", "replace") for path in (tmp_path / "spark").rglob("*") if path.is_file()}
    assert "on purpose" in done.stdout
    assert any("events" in name and "SparkListenerApplicationStart" in text for name, text in told.items())
    key_line = secured.client.key.read_text().splitlines()[1]
    for secret in (CLIENT_SECRET, KEY_PASSWORD, key_line):
        assert [name for name, text in told.items() if secret in text] == []
    assert any("*********(redacted)" in text for text in told.values()), "options are shown, without their values"
