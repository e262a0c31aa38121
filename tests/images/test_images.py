"""The images and docker-compose.yml for real: built, brought up, killed, scaled, taken down and brought up again.

The tests are steps of one story, in this order, with one stack; its last chapter asks the independent oracle whether
every expected alert was raised, and whether each was delivered to the webhook exactly once.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_cli.demo.report import build_report, find_problems
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from images.stack import COMPOSE, ROOT, Stack, until

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]

MEGABYTE: Final = 1_000_000
BASE: Final = "python:3.11-slim-bookworm"
# Only the layers above the base are measured, since a stand-in's size is not that of the official image: 125 MB.
BASE_MB: Final = 130
# Images of services that only use Kafka stay small; the others contain one or more engines.
LIMITS_MB: Final = {
    "producer": 250,
    "enricher": 250,
    "notifier": 250,
    "snowflake-loader": 650,
    "cardwatch": 850,
    "detector": 1700,
}
RAW: Final = (TRANSACTIONS_RAW.name(), TRANSACTIONS_JSON.name())
SILVER: Final = TRANSACTIONS_SILVER.name()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, without Grafana where there are only stand-ins; removed at the end with its volumes."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.fail("docker cannot reach its engine; this suite runs nowhere else")
    made = Stack(tmp_path_factory.mktemp("stack"), os.environ.get("STANDINS", ""))
    made.prepare()
    try:
        made.up()
        yield made
    finally:
        logs = Path(os.environ.get("IMAGES_LOGS", str(tmp_path_factory.mktemp("logs")))) / "containers.log"
        logs.write_text(made.compose("logs", "--no-color", "--tail", "2000"), encoding="utf-8")
        print(f"the containers' logs: {logs}")
        made.compose("--profile", "*", "down", "--volumes", "--remove-orphans")


def seconds(text: str) -> float:
    """A duration of docker-compose.yml."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def wait_for_alerts(stack: Stack, more: int) -> None:
    """Wait until the webhook has received so many more alerts."""

    def told() -> int:
        return len({delivery.webhook_id for delivery in stack.deliveries()})

    wanted = told() + more
    until(lambda: told() >= wanted, 300.0, lambda: f"{told()} messages, not {wanted}")


@pytest.mark.parametrize("service", LIMITS_MB)
def test_images_are_small_and_have_labels(stack: Stack, service: str) -> None:
    image, base = stack.inspect(stack.image(service)), stack.inspect(BASE)
    size = (image["Size"] - base["Size"]) / MEGABYTE + BASE_MB
    print(f"{service}: {size:.0f} MB")
    assert size <= LIMITS_MB[service]
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Labels"]["org.opencontainers.image.title"].startswith("cardwatch/")
    assert image["Config"]["Healthcheck"]["Test"]


@pytest.mark.parametrize("service", LIMITS_MB)
def test_images_contain_their_bill_of_materials(stack: Stack, service: str) -> None:
    path = stack.inspect(stack.image(service))["Config"]["Labels"]["cardwatch.sbom"]
    # Without compose, which wants the secrets of a service that is not started here.
    read = ["docker", "run", "--rm", "--entrypoint", "cat", stack.image(service), path]
    bill = json.loads(subprocess.run(read, check=True, capture_output=True, timeout=120).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert any(component["purl"].startswith("pkg:deb/debian/libc6@") for component in bill["components"])


def test_every_service_is_healthy_and_every_job_done(stack: Stack) -> None:
    assert stack.unwell() == {}


@pytest.mark.parametrize("service", ["producer", "enricher", "detector", "lakehouse", "notifier", "webhook"])
def test_a_service_may_write_its_data_and_nothing_else(stack: Stack, service: str) -> None:
    def run(script: str) -> str:
        return stack.compose("exec", "-T", service, "sh", "-c", script).strip()

    assert run("id -u") == "10001"
    assert run("touch /opt/cardwatch/x 2>/dev/null && echo written || echo refused") == "refused"
    assert run("touch /tmp/x && echo written") == "written"
    assert run("grep CapEff /proc/1/status").split()[-1] == "0" * 16
    environment = run("tr '\\0' '\\n' </proc/1/environ")
    for secret in (path.read_text() for path in stack.secrets.iterdir()):
        assert secret not in environment


def test_alerts_reach_the_webhook(stack: Stack) -> None:
    wait_for_alerts(stack, 5)


def test_prometheus_reads_every_service(stack: Stack) -> None:
    expected = {"producer", "enricher", "detector", "lakehouse", "notifier"}

    def up() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for target in stack.prometheus("targets")["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(target["health"])
        return found

    until(lambda: expected <= up().keys(), 60.0, lambda: f"targets: {up()}")
    until(lambda: all(health == {"up"} for health in up().values()), 60.0, lambda: f"targets: {up()}")
    rules = stack.prometheus("rules")["groups"]
    assert rules
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def test_alertmanager_is_known_to_prometheus(stack: Stack) -> None:
    until(lambda: bool(stack.prometheus("alertmanagers")["activeAlertmanagers"]), 60.0, lambda: "no alertmanager")


def test_three_enrichers_share_the_partitions(stack: Stack) -> None:
    stack.up("--no-recreate", "--scale", "enricher=3")
    members: list[int] = []

    def shared() -> bool:
        members[:] = stack.members("cardwatch-enricher")
        return len(members) == 3 and all(members)

    until(shared, 90.0, lambda: f"partitions by member: {members}")
    until(
        lambda: len(stack.prometheus("query", query='up{job="enricher"} == 1')["result"]) == 3,
        90.0,
        lambda: "Prometheus does not see three enrichers",
    )
    wait_for_alerts(stack, 2)


@pytest.mark.parametrize("service", ["enricher", "detector", "notifier", "lakehouse"])
def test_a_killed_service_continues_after_a_restart(stack: Stack, service: str) -> None:
    stack.kill(service)
    stack.wait_well()
    wait_for_alerts(stack, 2)


@pytest.mark.parametrize("service", ["enricher", "detector", "notifier", "lakehouse"])
def test_a_stopped_service_finishes_its_work_within_its_grace_period(stack: Stack, service: str) -> None:
    took, codes = stack.stop(service)
    print(f"{service} stopped within {took:.1f} s")
    assert codes == [0] * len(codes), f"exit codes {codes}"
    assert took < seconds(COMPOSE["services"][service]["stop_grace_period"])
    stack.compose("start", service)
    stack.wait_well()


def test_down_and_up_keep_everything(stack: Stack) -> None:
    before = stack.ends(*RAW, SILVER, ALERTS.name())
    ids = subject_ids(stack)
    rows = table_rows(stack, "silver.transactions")
    stack.down()
    assert stack.containers() == []
    stack.up()
    after = stack.ends(*RAW, SILVER, ALERTS.name())
    assert all(after[partition] >= end for partition, end in before.items())
    assert subject_ids(stack) == ids
    assert table_rows(stack, "silver.transactions") >= rows > 0
    wait_for_alerts(stack, 3)


def test_a_backup_restores_everything(stack: Stack, tmp_path: Path) -> None:
    stack.down()
    stack.script("backup", str(tmp_path / "backup"))
    stack.down("--volumes")
    for secret in stack.secrets.iterdir():
        secret.unlink()
    stack.script("restore", str(tmp_path / "backup"))
    with pytest.raises(AssertionError, match="holds data"):
        stack.script("restore", str(tmp_path / "backup"))
    stack.up()
    wait_for_alerts(stack, 2)


def test_keys_are_rotated(stack: Stack) -> None:
    stack.remember()
    stack.renew("cardwatch_notifier_webhook_secret")
    stack.compose("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "notifier", "webhook")
    stack.wait_well()
    password = stack.renew("postgres_password")
    stack.psql(f"ALTER ROLE cardwatch_notifier PASSWORD '{password}'")
    stack.compose("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "notifier")
    stack.wait_well()
    wait_for_alerts(stack, 2)


def test_an_upgrade_and_a_rollback_continue_the_work(stack: Stack) -> None:
    for version in ("0.2.0", "0.1.0"):
        stack.remember()
        stack.use_version(version)
        stack.up()
        assert {container["Image"].rpartition(":")[2] for container in stack.containers("enricher")} == {version}
        wait_for_alerts(stack, 2)


def test_the_producer_drains(stack: Stack) -> None:
    took, codes = stack.stop("producer")
    assert codes == [0]
    assert took < seconds(COMPOSE["services"]["producer"]["stop_grace_period"])
    summary = json.loads(stack.compose("logs", "--no-log-prefix", "--no-color", "producer").splitlines()[-1])
    print(summary)


def test_nothing_was_lost_or_delivered_twice(stack: Stack, tmp_path: Path) -> None:
    stack.wait_until_read(RAW, lambda: stack.committed("cardwatch-enricher"))
    stack.wait_until_read((SILVER,), lambda: stack.positions("detector"))
    stack.wait_until_read((ALERTS.name(),), lambda: stack.committed("cardwatch-notifier"))
    until(lambda: pending(stack) == 0, 240.0, lambda: f"{pending(stack)} deliveries are pending")
    report = build_report(
        stack.recorded(),
        stack.deliveries(),
        rules=ROOT / "config/rules/demo.yaml",
        tables_dir=tmp_path,
        simulated=True,
    )
    print(json.dumps({name: getattr(report, name) for name in ("produced", "alerts_raised", "delivered", "oracle")}))
    assert find_problems(report, simulated=True) == []
    assert report.oracle["expected"] > 20
    assert report.delivered > 20


def test_the_lakehouse_has_every_message(stack: Stack) -> None:
    produced = sum(stack.ends(*RAW).values())
    until(
        lambda: table_rows(stack, "bronze.transactions") == produced,
        180.0,
        lambda: f"{table_rows(stack, 'bronze.transactions')} rows of {produced} messages",
    )


def pending(stack: Stack) -> float:
    """The number of pending deliveries in the outbox."""
    return sum(
        float(sample.value)
        for sample in stack.metrics("notifier")
        if sample.name == "cardwatch_notifier_outbox_messages" and sample.labels["state"] == "pending"
    )


def table_rows(stack: Stack, table: str) -> int:
    """Rows of a Delta table, by the cardwatch command in its image."""
    text = stack.compose(
        "--profile", "tools", "run", "--rm", "--no-deps", "-T", "cardwatch",
        "tables", "query", f"SELECT count(*) AS n FROM {table}", "--format", "json",
    )  # fmt: skip
    answer: Any = json.loads(text)
    return int(answer[0]["n"] if isinstance(answer, list) else answer["n"])


def subject_ids(stack: Stack) -> dict[str, int]:
    """The schema ids that the registry gives out."""
    import httpx

    client = httpx.Client(timeout=20, trust_env=False)
    subjects: list[str] = client.get(f"{stack.registry_url}/subjects").raise_for_status().json()
    began = time.monotonic()
    found = {
        subject: int(
            client.get(f"{stack.registry_url}/subjects/{subject}/versions/latest").raise_for_status().json()["id"]
        )
        for subject in subjects
    }
    assert found, f"no subject after {time.monotonic() - began:.0f} s"
    return found
