"""deploy/kubernetes, without a cluster: up to date, valid against the schemas, and without dangling references.

tests/kubernetes applies the manifests to a real API server (`make test-kubernetes`).
"""

import copy
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cardwatch_contracts.topics import ALL_TOPICS
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_notifier.settings import NotifierSettings
from cardwatch_producer.settings import ProducerSettings
from cardwatch_service.settings import ProcessSettings, ServiceSettings, load_settings
from cardwatch_service.token_settings import RotationSettings, TokenSettings
from cardwatch_snowflake.settings import LoaderSettings
from jsonschema import Draft202012Validator
from pydantic_settings import BaseSettings
from support.certificates import Authority
from support.kubernetes.crds import SOURCES, DefinitionsUnavailableError, documents, validator_schema
from support.kubernetes.references import EXTERNAL_SECRETS, Manifest, Manifests, PodTemplate, matches, problems

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSION = "1.36"
OVERLAYS = ("dev", "production")
# Components that neither overlay includes; tests/kubernetes renders them.
OPTIONAL = KUBERNETES / "components" / "snowflake-loader" / "snowflake-loader.yaml"
BY_SHARE = {"maxUnavailable": 1, "selector": {"matchLabels": {"cardwatch/spark": "executor"}}}


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(documents(KUBERNETES / "rendered" / f"{request.param}.yaml"))


def every_file() -> Iterator[Manifest]:
    for overlay in OVERLAYS:
        yield from documents(KUBERNETES / "rendered" / f"{overlay}.yaml")
    yield from documents(OPTIONAL)
    yield from documents(KUBERNETES / "components" / "tracing" / "network-policy.yaml")


def custom(manifest: Manifest) -> bool:
    return any(manifest["apiVersion"].startswith(f"{group}/") for source in SOURCES for group in source.groups)


def test_generated_and_rendered_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "kubernetes-manifests"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_kubernetes_own_kinds_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    # It reads all of Kubernetes' definitions again for each manifest.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    own = [manifest for manifest in every_file() if not custom(manifest)]
    assert len(own) > 80
    for manifest in own:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_custom_resources_are_valid(source: Any) -> None:
    mine = [m for m in every_file() if m["apiVersion"].rpartition("/")[0] in source.groups]
    assert mine
    try:
        definitions = {d["spec"]["names"]["kind"]: d for d in source.definitions()}
    except DefinitionsUnavailableError as error:
        pytest.skip(f"the definitions of {source.name} could not be downloaded: {error}")
    validators: dict[str, Draft202012Validator] = {}
    for manifest in mine:
        kind, version = manifest["kind"], manifest["apiVersion"].rpartition("/")[2]
        if kind not in validators:
            validators[kind] = Draft202012Validator(validator_schema(definitions[kind], version))
        validators[kind].validate(manifest)
    # The check does reject something.
    broken = copy.deepcopy(mine[0])
    broken["spec"]["no such field"] = 1
    assert not validators[mine[0]["kind"]].is_valid(broken)


def test_there_is_no_dangling_reference(manifests: Manifests) -> None:
    assert problems(manifests) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("Service registry/spec/selector", {"app": "no"}, "Service registry selects no pod"),
        ("PodDisruptionBudget enricher/spec/selector/matchLabels", {"app": "no"}, "enricher selects no pod"),
        ("PodDisruptionBudget detector-card/spec", BY_SHARE, "pods without a controller"),
        ("NetworkPolicy registry/spec/podSelector/matchLabels", {"app": "no"}, "NetworkPolicy registry selects no pod"),
        ("PodMonitor cardwatch/spec/podMetricsEndpoints/0/port", "web", "wants the port web"),
        ("Deployment notifier/spec/template/spec/serviceAccountName", "nobody", "service account nobody"),
        ("Deployment enricher/spec/template/spec/containers/0/envFrom/0/configMapRef/name", "x", "ConfigMap x"),
        ("Deployment notifier/spec/template/spec/containers/0/env/1/valueFrom/secretKeyRef/key", "x", "needs x of the"),
        ("ScaledObject enricher/spec/scaleTargetRef/name", "nobody", "scales nobody"),
        ("ScaledObject enricher/spec/maxReplicaCount", 9, "9 replicas for 3 partitions"),
        ("ScaledObject notifier/spec/triggers/0/metadata/topic", "alerts", "topic alerts, which is nowhere"),
        ("KafkaUser notifier/spec/authorization/acls/0/resource/name", "alerts", "topic alerts, which is nowhere"),
        ("Kafka cardwatch/metadata/name", "other", "belongs to no Kafka cluster"),
        ("KafkaNodePool broker/spec/replicas", 2, "3 copies on 2 brokers"),
        ("SparkApplication lakehouse/spec/driver/serviceAccount", "nobody", "service account nobody"),
        ("Service registry/spec/ports/0/port", 80, "registry:8080, for which there is no Service"),
    ],
)
def test_a_dangling_reference_is_reported(path: str, value: Any, sentence: str) -> None:
    broken = copy.deepcopy(list(documents(KUBERNETES / "rendered" / "production.yaml")))
    title, *steps = path.split("/")
    place: Any = next(m for m in broken if f"{m['kind']} {m['metadata']['name']}" == title)
    for step in steps[:-1]:
        place = place[int(step) if step.isdigit() else step]
    place[int(steps[-1]) if steps[-1].isdigit() else steps[-1]] = value
    assert any(sentence in problem for problem in problems(Manifests(broken)))


def test_every_pod_is_restricted(manifests: Manifests) -> None:
    """As Pod Security requires, and with a read-only root file system."""
    for pod in [*manifests.pods(), *Manifests(documents(OPTIONAL)).pods()]:
        assert pod.spec["securityContext"]["runAsNonRoot"] is True, pod.owner
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        assert not pod.spec.get("hostNetwork"), pod.owner
        for container in pod.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod.owner
            assert context["readOnlyRootFilesystem"] is True, pod.owner
            assert context["capabilities"] == {"drop": ["ALL"]}, pod.owner
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], pod.owner


def test_every_pod_has_resource_requests_and_probes(manifests: Manifests) -> None:
    for manifest in manifests.of("Deployment", "StatefulSet"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            name = manifest["metadata"]["name"]
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            if name != "toolbox":  # it sleeps
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), name
    for pod in manifests.pods():
        labels = {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"}
        assert labels <= pod.labels.keys(), pod.owner
        # A pod without rights in Kubernetes does not get a token.
        wants_token = pod.labels.get("cardwatch/kubernetes-api") == "client"
        assert pod.spec["automountServiceAccountToken"] is wants_token, pod.owner


def test_network_policies_deny_by_default(manifests: Manifests) -> None:
    deny = next(m for m in manifests.of("NetworkPolicy") if m["metadata"]["name"] == "default-deny")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    # A policy must select every such label: a misspelt label would select no policy.
    policies = [m["spec"]["podSelector"] for m in manifests.of("NetworkPolicy")]
    policies += [
        m["spec"]["podSelector"] for m in documents(KUBERNETES / "components" / "tracing" / "network-policy.yaml")
    ]
    for pod in manifests.pods():
        for name, value in pod.labels.items():
            if name.startswith("cardwatch/") and name != "cardwatch/scope":
                assert any(s and matches(s, {name: value}) for s in policies), f"{pod.owner}: {name}: {value}"


def test_topics_are_those_of_the_contracts(manifests: Manifests) -> None:
    ours = {m["metadata"]["name"]: m["spec"] for m in manifests.of("KafkaTopic")}
    for topic in ALL_TOPICS:
        assert ours[topic.name()]["partitions"] == topic.partitions
        assert {name: str(value) for name, value in ours[topic.name()]["config"].items()} == dict(topic.config)
    assert ours.keys() - {topic.name() for topic in ALL_TOPICS} == {
        "kafkasql-journal",
        "kafkasql-snapshots",
        "registry-events",
    }


# The settings that read a container's environment, by the command that it runs.
SETTINGS: Mapping[str, tuple[type[BaseSettings], ...]] = {
    "cardwatch": (ServiceSettings,),
    "cardwatch-producer": (ServiceSettings, ProducerSettings, TokenSettings),
    "cardwatch-enricher": (ServiceSettings, EnricherSettings, TokenSettings),
    "cardwatch-notifier": (ServiceSettings, NotifierSettings),
    "cardwatch-snowflake-loader": (ProcessSettings, LoaderSettings, LakehouseSettings),
    "/opt/cardwatch/spark-entrypoint": (
        ServiceSettings,
        SparkSettings,
        VelocitySettings,
        LakehouseSettings,
        RotationSettings,
    ),
    "sleep": (ServiceSettings, LakehouseSettings),
}
# Named by other settings, as $(CARDWATCH_STORAGE).
OF_THE_MANIFESTS = {"CARDWATCH_STORAGE"}


def test_the_development_key_is_allowed_for_development_only(manifests: Manifests) -> None:
    has_key = any(m["metadata"]["name"] == "token-key" for m in manifests.of("Secret"))
    given = [environment(manifests, container) for pod in manifests.pods() for container in pod.containers]
    makers_of_tokens = [variables for variables in given if "CARDWATCH_TOKEN_KEY" in variables]
    assert makers_of_tokens
    for variables in makers_of_tokens:
        assert variables.get("CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY") == ("true" if has_key else None)


# Secrets whose values have a form that settings check; the others are keys in hexadecimal.
MADE_UP_SECRETS = {
    "CARDWATCH_NOTIFIER_OUTBOX_URL": "postgresql://user@host/database",
    "CARDWATCH_NOTIFIER_WEBHOOK_URL": "https://host/path",
    "CARDWATCH_NOTIFIER_WEBHOOK_SECRET": "whsec_" + "A" * 32,
}


def environment(manifests: Manifests, container: Manifest) -> dict[str, str]:
    """The variables that a container gets from the kubelet; secrets have fictional values."""
    maps = {m["metadata"]["name"]: m.get("data", {}) for m in manifests.of("ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if variable.get("valueFrom", {}).get("secretKeyRef", {}).get("optional") and "TOKEN_NEXT" in variable["name"]:
            continue  # only during a rotation
        text = variable.get("value", MADE_UP_SECRETS.get(variable["name"], bytes(range(16)).hex()))
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], text)
    return found


def test_every_setting_is_one_that_a_service_reads(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = str(Authority(tmp_path).location)
    for name in list(os.environ):
        if name.startswith("CARDWATCH_"):
            monkeypatch.delenv(name)
    seen = set()
    for pod in manifests.pods():
        for container in pod.containers:
            command = container.get("command", [""])[0]
            if command not in SETTINGS:
                assert not any(name.startswith("CARDWATCH_") for name in environment(manifests, container)), pod.owner
                continue
            seen.add(command)
            given = {n: v for n, v in environment(manifests, container).items() if n.startswith("CARDWATCH_")}
            # The ConfigMap `settings` is everybody's; the loader takes from it what is not Kafka's.
            assert given.keys() - known((*SETTINGS[command], ServiceSettings)) - OF_THE_MANIFESTS == set(), pod.owner
            mounted = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for name in [name for name in given if name.endswith("_LOCATION") and name in known(SETTINGS[command])]:
                assert str(Path(given[name]).parent) in mounted, f"{pod.owner}: {name} names a file that is not there"
                given[name] = authority
            with monkeypatch.context() as patched:
                for name, value in given.items():
                    patched.setenv(name, value)
                for settings in SETTINGS[command]:
                    load_settings(settings)  # and every value is one that it takes
    assert len(seen) >= 4


def known(classes: tuple[type[BaseSettings], ...]) -> set[str]:
    return {f"{c.model_config['env_prefix']}{field}".upper() for c in classes for field in c.model_fields}


def test_commands_are_those_of_the_packages(manifests: Manifests) -> None:
    scripts: set[str] = set()
    for path in [*(ROOT / "services").glob("*/pyproject.toml"), ROOT / "cli" / "pyproject.toml"]:
        scripts |= tomllib.loads(path.read_text(encoding="utf-8"))["project"]["scripts"].keys()
    commands = {
        container["command"][0] for pod in manifests.pods() for container in pod.containers if "command" in container
    }
    assert commands - scripts == {"/opt/cardwatch/spark-entrypoint", "sleep"}


def test_shutdown_of_a_service_fits_into_its_grace_period(manifests: Manifests) -> None:
    grace = {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        for m in manifests.of("Deployment")
    }
    assert grace["enricher"] > EnricherSettings().stop_grace_seconds + 5
    assert grace["notifier"] > NotifierSettings().webhook_timeout_seconds + 10
    for application in manifests.of("SparkApplication"):
        # cardwatch_detector.runtime.supervision gives a micro-batch 30 s.
        assert application["spec"]["driver"]["template"]["spec"]["terminationGracePeriodSeconds"] > 35


def test_consumer_groups_are_those_of_the_services(manifests: Manifests) -> None:
    for scaler in manifests.of("ScaledObject"):
        service = scaler["spec"]["scaleTargetRef"]["name"]
        assert {t["metadata"]["consumerGroup"] for t in scaler["spec"]["triggers"]} == {
            ServiceSettings().consumer_group(service)
        }


def test_spark_restarts_always_and_each_scope_keeps_its_own_checkpoint(manifests: Manifests) -> None:
    checkpoints = []
    for application in manifests.of("SparkApplication"):
        assert application["spec"]["restartPolicy"]["type"] == "Always"
        (container,) = application["spec"]["driver"]["template"]["spec"]["containers"]
        given = environment(manifests, container)
        checkpoints += [given[n] for n in given if n.endswith("_CHECKPOINT_DIR")]
        partitions = int(given.get("CARDWATCH_DETECTOR_PARTITIONS", "1"))
        spec = application["spec"]
        one_pod = given["CARDWATCH_SPARK_MASTER"].startswith("local")
        cores = spec["driver"]["cores"] if one_pod else spec["executor"]["instances"] * spec["executor"]["cores"]
        assert "DETECTOR" not in " ".join(given) or partitions >= cores, "a core would have no partition"
    assert len(checkpoints) == len(set(checkpoints)) == 3
    instances = {m["metadata"]["name"]: m["spec"]["executor"]["instances"] for m in manifests.of("SparkApplication")}
    for budget in manifests.of("PodDisruptionBudget"):
        if (name := budget["metadata"]["name"]) in instances:
            assert budget["spec"]["minAvailable"] == instances[name] - 1


def test_images_have_one_version_each_and_cardwatchs_is_that_of_the_packages(manifests: Manifests) -> None:
    version = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    images = {container["image"] for pod in manifests.pods() for container in pod.containers if "image" in container}
    images |= {application["spec"]["image"] for application in manifests.of("SparkApplication")}
    for image in images:
        name, _, tag = image.partition(":")
        assert tag, image
        assert tag == version or not name.startswith("cardwatch/"), image


def test_secrets_are_by_reference_and_documented() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    for name, keys in EXTERNAL_SECRETS.items():
        assert f"`{name}`" in page
        assert all(f"`{key}`" in page for key in keys or ())
    production = Manifests(documents(KUBERNETES / "rendered" / "production.yaml"))
    assert production.of("Secret") == []


def test_dashboards_are_config_maps_with_the_sidecars_label() -> None:
    directory = ROOT / "deploy" / "grafana" / "dashboards"
    made = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    assert made["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
    assert {name for each in made["configMapGenerator"] for name in each["files"]} == {
        path.name for path in directory.glob("*.json")
    }
    assert all(path.stat().st_size < 1_000_000 for path in directory.glob("*.json")), "a ConfigMap holds 1 MiB"


def test_scraped_pods_have_the_job_names_of_rules_and_dashboards(manifests: Manifests) -> None:
    names = {pod.labels["app.kubernetes.io/name"] for pod in scraped(manifests)}
    assert names - {"registry"} <= {"producer", "enricher", "detector", "lakehouse", "notifier", "snowflake-loader"}
    assert {"enricher", "detector", "lakehouse", "notifier"} <= names


def scraped(manifests: Manifests) -> list[PodTemplate]:
    return [pod for pod in manifests.pods() if pod.labels.get("cardwatch/metrics") == "scraped"]


@pytest.fixture
def run_entrypoint(tmp_path: Path) -> Callable[..., list[str]]:
    """The detector's script for Spark's pods, with programs that print how they were called."""
    script = ROOT / "services" / "spark-detector" / "kubernetes" / "entrypoint"
    for name in ("python", "bin/java"):
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "--" "$CARDWATCH_SPARK_CONF_FILE" "$PYSPARK_SUBMIT_ARGS"\n')
        program.chmod(0o755)

    def run(*arguments: str, **variables: str) -> list[str]:
        environment = {"PATH": os.environ["PATH"], "PYSPARK_PYTHON": str(tmp_path / "python"), **variables}
        environment |= {"JAVA_HOME": str(tmp_path), "SPARK_HOME": "/spark"}
        done = subprocess.run(["bash", str(script), *arguments], env=environment, capture_output=True, text=True)
        return done.stdout.splitlines() if done.returncode == 0 else [done.stderr.strip()]

    return run


def test_a_driver_starts_the_service_with_the_submitted_arguments(run_entrypoint: Callable[..., list[str]]) -> None:
    submitted = ("driver", "--properties-file", "/conf/spark.properties", "--class", "PythonRunner")
    application = ("local:///opt/cardwatch/detector.py", "velocity")
    variables = {"SPARK_DRIVER_BIND_ADDRESS": "10.0.0.7", "CARDWATCH_SPARK_MASTER": ""}
    called = run_entrypoint(*submitted, *application, **variables)
    assert called[:4] == ["/opt/cardwatch/detector.py", "velocity", "--", "/conf/spark.properties"]
    assert called[4].startswith("--deploy-mode client --conf spark.driver.bindAddress=10.0.0.7")
    assert called[4].endswith("pyspark-shell")
    alone = run_entrypoint(*submitted, *application, CARDWATCH_SPARK_MASTER="local[2]")
    assert alone == ["/opt/cardwatch/detector.py", "velocity", "--", "", ""]
    assert "no application" in run_entrypoint("driver")[0]
    assert "driver or executor" in run_entrypoint()[0]


def test_an_executor_starts_with_the_options_in_order(run_entrypoint: Callable[..., list[str]]) -> None:
    names = "DRIVER_URL EXECUTOR_ID EXECUTOR_CORES APPLICATION_ID EXECUTOR_POD_IP RESOURCE_PROFILE_ID EXECUTOR_POD_NAME"
    variables = {f"SPARK_{name}": name.lower() for name in names.split()} | {"SPARK_EXECUTOR_MEMORY": "3g"}
    options = {f"SPARK_JAVA_OPT_{n}": f"-Dn={n} x" for n in range(11)}
    called = run_entrypoint("executor", **variables, **options)
    assert called[:11] == [f"-Dn={n} x" for n in range(11)]
    assert called[11:13] == ["-Xms3g", "-Xmx3g"]
    assert "::/spark/jars/*" in called
    assert called[called.index("--driver-url") + 1] == "driver_url"
