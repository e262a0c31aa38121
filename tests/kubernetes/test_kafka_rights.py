"""What base/kafka/users.yaml allows is enough for the whole pipeline, and no more: on a real broker, by SCRAM over TLS.

Services and registry run as processes, with the settings of the manifests but for addresses and paths.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.topics import ALERTS, LISTS, RULE_APPROVALS, RULES, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_platform import PlatformSettings, SilentReporter
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.download import ensure_artifacts
from cardwatch_platform.embedded import spark_classpath, spark_java_home
from cardwatch_platform.java import java, java_environment
from cardwatch_platform.ports import HOST, free_port
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.services import new_cluster_id, registry_answers
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from support.certificates import Authority
from support.kubernetes.crds import documents
from support.kubernetes.references import Manifests

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "admin"
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=SASL_SSL://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=SASL_SSL://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="admin" password="admin";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
log.dirs={directory}/data
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


@dataclass(frozen=True)
class Secured:
    """A broker that lets nobody do what no ACL allows, and a registry that keeps its data in it."""

    servers: str
    registry: str
    ca: Path
    directory: Path

    def client(self, user: str, **more: Any) -> dict[str, Any]:
        """Settings of librdkafka."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": user,
            "ssl.ca.location": str(self.ca),
            "log_level": 0,
            **more,
        }

    def environment(self, user: str) -> dict[str, str]:
        """A service's, as the manifests give it: the ConfigMap `settings` and a user's name and password."""
        production = Manifests(documents(ROOT / "deploy" / "kubernetes" / "rendered" / "production.yaml"))
        (settings,) = (m for m in production.of("ConfigMap") if m["metadata"]["name"].startswith("settings-"))
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("CARDWATCH_")},
            **settings["data"],
            "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "CARDWATCH_KAFKA_SSL_CA_LOCATION": str(self.ca),
            "CARDWATCH_SCHEMA_REGISTRY_URL": self.registry,
            "CARDWATCH_METRICS_HOST": HOST,
            "CARDWATCH_METRICS_PORT": "0",
            "CARDWATCH_KAFKA_SASL_USERNAME": user,
            "CARDWATCH_KAFKA_SASL_PASSWORD": user,
        }

    def run(self, user: str, *command: str) -> str:
        """Run a command as a user; returns its output."""
        program = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
        done = subprocess.run(program, env=self.environment(user), capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{command} as {user}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    sets = ensure_artifacts(load_lock(), PlatformSettings(), SilentReporter())
    authority = Authority(directory)
    port, controller, registry_port = free_port(), free_port(), free_port()
    properties = directory / "server.properties"
    places = {"directory": directory, "keystore": authority.issue("broker").both, "truststore": authority.location}
    properties.write_text(SERVER.format(host=HOST, port=port, controller=controller, **places), "utf-8")
    kafka = [java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{sets['kafka']}/*"]
    scram = f"SCRAM-SHA-512=[name={ADMIN},password={ADMIN}]"
    storage = ["kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(properties), "--add-scram", scram]
    subprocess.run([*kafka, *storage], check=True, env=java_environment(), capture_output=True)
    found = Secured(f"{HOST}:{port}", f"http://{HOST}:{registry_port}/apis/ccompat/v7", authority.location, directory)
    with ExitStack() as stack:
        log = directory / "kafka.log"
        broker = GuardedProcess(
            "kafka", [*kafka, "kafka.Kafka", str(properties)], java_environment(), log, cwd=directory
        )
        broker.start()
        stack.callback(broker.terminate, 10.0)
        admin = AdminClient(found.client(ADMIN))
        _eventually("the broker answers", lambda: _answers(admin), log)
        _make(admin, Manifests(documents(ROOT / "deploy" / "kubernetes" / "rendered" / "dev.yaml")))
        registry = GuardedProcess(
            "registry",
            [
                *(java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={directory}"),
                *(f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={registry_port}"),
                *(f"-Dquarkus.management.host={HOST}", "-Dquarkus.management.port=0"),
                *("-jar", str(sets["registry"] / "quarkus-run.jar")),
            ],
            {**java_environment(), **_registry_environment(found)},
            directory / "registry.log",
            cwd=directory,
        )
        registry.start()
        stack.callback(registry.terminate, 10.0)
        _eventually("the registry answers", lambda: registry_answers(found.registry), directory / "registry.log")
        found.run("schemas", "cardwatch", "schemas", "apply")
        yield found


def test_the_pipeline_runs_with_these_rights(secured: Secured, tmp_path: Path) -> None:
    secured.run("analyst", "cardwatch", "rules", "apply", str(ROOT / "config/rules/demo.yaml"), "--by", "test")
    settings, lock = PlatformSettings(), load_lock()
    spark = {
        "CARDWATCH_SPARK_JAVA_HOME": str(spark_java_home(settings)),
        "CARDWATCH_SPARK_CLASSPATH": spark_classpath(settings, lock),
        "CARDWATCH_SPARK_MASTER": "local[2]",
        "CARDWATCH_SPARK_DRIVER_MEMORY": "768m",
    }
    services: Mapping[str, tuple[tuple[str, ...], dict[str, str]]] = {
        "enricher": (("cardwatch-enricher",), {}),
        "notifier": (
            ("cardwatch-notifier", "run"),
            {"CARDWATCH_NOTIFIER_OUTBOX_PATH": str(tmp_path / "outbox.db"), "CARDWATCH_NOTIFIER_STDOUT": "true"},
        ),
        "detector": (
            ("cardwatch-detector", "velocity"),
            {
                "CARDWATCH_DETECTOR_CHECKPOINT_DIR": str(tmp_path / "velocity"),
                "CARDWATCH_DETECTOR_WARM_UP": "false",
                **spark,
            },
        ),
        "lakehouse": (
            ("cardwatch-detector", "lakehouse"),
            {
                "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(tmp_path / "lakehouse"),
                "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(tmp_path / "tables"),
                "CARDWATCH_LAKEHOUSE_TRIGGER": "2s",
                "CARDWATCH_LAKEHOUSE_UPKEEP_EVERY": "off",
                # Queries that read tables only need no rights in Kafka.
                "CARDWATCH_LAKEHOUSE_VELOCITY": "false",
                "CARDWATCH_LAKEHOUSE_MINUTES": "false",
                **spark,
            },
        ),
    }
    logs = {name: tmp_path / f"{name}.log" for name in services}
    with ExitStack() as stack:
        for name, (command, more) in services.items():
            program = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
            process = GuardedProcess(name, program, {**secured.environment(name), **more}, logs[name])
            process.start()
            stack.callback(process.terminate, 60.0)
        secured.run("producer", "cardwatch-producer", "simulate", "--rate", "50", "--duration", "25s", "--seed", "1")
        _eventually("the notifier delivers an alert", lambda: "| alert " in _text(logs["notifier"]), *logs.values())
        alerts = tmp_path / "tables" / "gold" / "alerts"
        _eventually("the lakehouse has it", lambda: any(alerts.rglob("*.parquet")), *logs.values())
    for name, log in logs.items():
        assert "authoriz" not in _text(log).lower(), f"{name}:\n{_text(log)[-3000:]}"
    assert "card-velocity" in secured.run("analyst", "cardwatch", "rules", "list")


def test_a_rule_goes_live_only_by_two_users_of_the_broker(secured: Secured, tmp_path: Path) -> None:
    """The author is the user of the connection, whatever ``--by`` says, and has no right to approve."""
    file = tmp_path / "rules.yaml"
    file.write_text("- {id: two-users, title: A rule, scope: card, when: amount_minor > 1}\n", "utf-8")
    secured.run("analyst", "cardwatch", "rules", "apply", str(file), "--by", "approver")
    history = ("cardwatch", "rules", "history", "two-users", "--tables-dir", str(tmp_path), "--json")
    (change,) = json.loads(secured.run("analyst", *history))
    assert (change["changed_by"], change["authenticated"], change["stated_name"]) == ("User:analyst", True, "approver")
    approve = ("cardwatch", "rules", "approve", "two-users", "--revision", "1")
    with pytest.raises(AssertionError, match="expected the approval of another Kafka user"):
        secured.run("analyst", *approve)
    assert "two-users approved (revision 1)" in secured.run("approver", *approve)
    (change,) = json.loads(secured.run("analyst", *history))
    assert change["approved_by"] == "User:approver"
    with pytest.raises(AssertionError, match=r"(?i)authori[sz]"):
        secured.run("approver", "cardwatch", "rules", "pause", "two-users")


def test_a_scaler_may_describe_but_not_read(secured: Secured) -> None:
    admin = AdminClient(secured.client("keda"))
    for group in ("cardwatch-enricher", "cardwatch-notifier"):
        (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        future.result(20)
    ends = admin.list_offsets({TopicPartition(TRANSACTIONS_RAW.name(), 0): OffsetSpec.latest()})  # type: ignore[no-untyped-call]
    (future,) = ends.values()
    assert future.result(20).offset >= 0
    assert not _may_read(secured, "keda", ALERTS.name())


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("enricher", ALERTS),
        ("notifier", ALERTS),
        ("producer", TRANSACTIONS_SILVER),
        ("analyst", ALERTS),
        # Whoever may change rules may not approve that, and the reverse.
        ("analyst", RULE_APPROVALS),
        ("approver", RULES),
        ("approver", LISTS),
        ("lakehouse", RULES),
        ("detector", RULES),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name(),
)
def test_users_cannot_write_to_topics_of_others(secured: Secured, user: str, topic: Any) -> None:
    failures: list[KafkaError | None] = []
    producer = Producer(secured.client(user, **{"message.timeout.ms": 10_000}))
    producer.produce(topic.name(), b"", callback=lambda error, _message: failures.append(error))
    producer.flush(20)
    assert [failure and failure.code() for failure in failures] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


@pytest.mark.parametrize(
    ("user", "topic"),
    [("producer", TRANSACTIONS_RAW), ("notifier", TRANSACTIONS_RAW), ("analyst", TRANSACTIONS_SILVER)],
    ids=lambda value: value if isinstance(value, str) else value.name(),
)
def test_users_cannot_read_topics_of_others(secured: Secured, user: str, topic: Any) -> None:
    assert not _may_read(secured, user, topic.name())


def _may_read(secured: Secured, user: str, topic: str) -> bool:
    consumer = Consumer(secured.client(user, **{"group.id": "a-group", "auto.offset.reset": "earliest"}))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return True
            if error.code() in (
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.GROUP_AUTHORIZATION_FAILED,
            ):
                return False
    except KafkaException as refusal:
        if refusal.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return False
        raise
    finally:
        consumer.close()
    raise AssertionError("the broker neither gave a message nor refused one")


def _make(admin: AdminClient, manifests: Manifests) -> None:
    """Topics, users and their rights, as Strimzi's operators would."""
    topics = [
        NewTopic(
            m["metadata"]["name"],
            m["spec"]["partitions"],
            1,
            config={name: str(value) for name, value in m["spec"]["config"].items()},
        )
        for m in manifests.of("KafkaTopic")
    ]
    users = manifests.of("KafkaUser")
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    upserts: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(u["metadata"]["name"], credential, u["metadata"]["name"].encode()) for u in users
    ]
    rights = [
        AclBinding(
            ResourceType.TOPIC if rule["resource"]["type"] == "topic" else ResourceType.GROUP,
            rule["resource"]["name"],
            ResourcePatternType.PREFIXED
            if rule["resource"]["patternType"] == "prefix"
            else ResourcePatternType.LITERAL,
            f"User:{user['metadata']['name']}",
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for user in users
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    ]
    for made in (admin.create_topics(topics), admin.alter_user_scram_credentials(upserts), admin.create_acls(rights)):
        for future in made.values():
            future.result(30)


def _registry_environment(secured: Secured) -> dict[str, str]:
    """The environment of the manifests, except for addresses and paths."""
    production = Manifests(documents(ROOT / "deploy" / "kubernetes" / "rendered" / "production.yaml"))
    (pod,) = (pod for pod in production.pods() if pod.owner == "Deployment registry")
    given = {variable["name"]: variable.get("value", "") for variable in pod.containers[0]["env"]}
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return given | {
        "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": secured.servers,
        "APICURIO_KAFKA_COMMON_SASL_JAAS_CONFIG": f'{login} username="registry" password="registry";',
        "APICURIO_KAFKA_COMMON_SSL_TRUSTSTORE_LOCATION": str(secured.ca),
        "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(secured.directory),
    }


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=3).brokers)
    except KafkaException:
        return False


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace") if log.exists() else ""


def _eventually(what: str, holds: Callable[[], bool], *logs: Path, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        tails = "\n".join(f"{log.name}: {_text(log)[-1500:]}" for log in logs)
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{tails}"
        time.sleep(0.5)
