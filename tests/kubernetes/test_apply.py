"""Both overlays applied to a real API server, under Pod Security `restricted`.

The manifests are accepted, scheduled and rolled out, without dangling references. On a simulated cluster no container
runs and no network policy is enforced.
"""

import base64
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cardwatch_platform import PlatformSettings
from cardwatch_platform.embedded import spark_java_home
from support.kubernetes.crds import SOURCES
from support.kubernetes.references import EXTERNAL_SECRETS, Manifests, problems
from support.kubernetes.spark import start_executors, submit

pytestmark = pytest.mark.kubernetes

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = {"production": "cardwatch", "dev": "cardwatch-dev"}
KINDS = (
    "configmap,secret,serviceaccount,service,persistentvolumeclaim,pod,deployment,statefulset,job,poddisruptionbudget,"
    "networkpolicy,role,rolebinding,kafka,kafkanodepool,kafkatopic,kafkauser,scaledobject,triggerauthentication,"
    "podmonitor,prometheusrule,sparkapplication"
)


@dataclass(frozen=True)
class Installed:
    """One overlay in a cluster.

    Attributes:
        said: what kubectl said on standard error in applying it: the API server's warnings.
    """

    cluster: Any
    overlay: str
    namespace: str
    said: str

    @property
    def directory(self) -> Path:
        """The overlay's."""
        return ROOT / "deploy" / "kubernetes" / "overlays" / self.overlay

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """Objects of its namespace."""
        found: list[dict[str, Any]] = self.cluster.get("--namespace", self.namespace, *arguments)
        return found

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Kubectl in its namespace."""
        return str(self.cluster.run("--namespace", self.namespace, *arguments, stdin=stdin))

    def rolled_out(self) -> None:
        """Wait until every Deployment and StatefulSet has rolled out."""
        for manifest in self.get("deployment,statefulset"):
            name = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
            self.run("rollout", "status", name, "--timeout=120s")


@pytest.fixture(scope="session")
def operators(cluster: Any) -> None:
    """The custom resource definitions of the operators, which themselves are not installed."""
    definitions = [definition for source in SOURCES for definition in source.definitions()]
    text = "\n---\n".join(json.dumps(definition) for definition in definitions)
    done = cluster.apply("-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    for definition in definitions:
        name = definition["metadata"]["name"]
        cluster.run("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


@pytest.fixture(scope="module", params=OVERLAYS)
def installed(request: pytest.FixtureRequest, cluster: Any, operators: None) -> Iterator[Installed]:
    """An overlay, with the Secrets that somebody has to make, and those that Strimzi would have made."""
    overlay, namespace = request.param, OVERLAYS[request.param]
    directory = ROOT / "deploy" / "kubernetes" / "overlays" / overlay
    assert cluster.attempt("get", "namespace", namespace).returncode != 0, f"there is a namespace {namespace} already"
    cluster.run("apply", "--server-side", "-f", str(directory / "namespace.yaml"))
    try:
        rendered = list(yaml.safe_load_all(cluster.run("kustomize", str(directory))))
        cluster.run("apply", "--server-side", "-f", "-", stdin=_secrets(Manifests(rendered), namespace))
        if cluster.simulated:
            cluster.run("apply", "--server-side", "-f", "-", stdin=_volumes(namespace))
        done = cluster.apply("-k", str(directory))
        # Kinds that a second before were not there may not be known to everybody yet.
        if "no matches for kind" in done.stderr:
            done = cluster.apply("-k", str(directory))
        assert done.returncode == 0, done.stderr
        yield Installed(cluster, overlay, namespace, done.stderr)
    finally:
        cluster.run("delete", "namespace", namespace, "--wait=false")


def test_the_api_server_gives_no_warning(installed: Installed) -> None:
    assert "Warning" not in installed.said


def test_applying_again_changes_nothing(installed: Installed) -> None:
    """Except for changes that a Job or an autoscaler makes."""

    def generations() -> dict[str, int]:
        kinds = KINDS.replace("pod,", "").replace("job,", "")
        return {
            f"{m['kind']} {m['metadata']['name']}": m["metadata"].get("generation", 0) for m in installed.get(kinds)
        }

    before = generations()
    done = installed.cluster.apply("-k", str(installed.directory))
    assert done.returncode == 0, done.stderr
    assert generations() == before


def test_pod_security_is_enforced(installed: Installed) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless"},
        "spec": {"containers": [{"name": "careless", "image": "careless"}]},
    }
    refused = installed.cluster.attempt("--namespace", installed.namespace, "create", "-f", "-", stdin=json.dumps(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_everything_rolls_out(installed: Installed) -> None:
    installed.rolled_out()
    installed.run("wait", "--for=condition=Complete", "job/schemas", "--timeout=120s")
    for pod in installed.get("pod"):
        assert pod["spec"].get("nodeName"), f"{pod['metadata']['name']} is not scheduled"
        assert pod["status"]["phase"] in ("Running", "Succeeded"), pod["metadata"]["name"]


def test_budgets_let_nodes_be_drained(installed: Installed) -> None:
    installed.rolled_out()

    def status() -> dict[str, Any]:
        return {m["metadata"]["name"]: m["status"] for m in installed.get("poddisruptionbudget")}

    mine = {"enricher", "notifier", "registry"}
    installed.cluster.eventually(
        "every budget counts pods and allows one to go",
        lambda: all(
            s.get("expectedPods", 0) >= 1 and s["disruptionsAllowed"] >= 1 for n, s in status().items() if n in mine
        ),
    )
    victim = next(p for p in installed.get("pod") if p["metadata"]["labels"]["app.kubernetes.io/name"] == "enricher")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": victim["metadata"]["name"], "namespace": installed.namespace},
    }
    path = f"/api/v1/namespaces/{installed.namespace}/pods/{victim['metadata']['name']}/eviction"
    installed.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    installed.rolled_out()


def test_only_drivers_may_do_anything_with_kubernetes(installed: Installed) -> None:
    def may(account: str, *what: str) -> bool:
        user = f"--as=system:serviceaccount:{installed.namespace}:{account}"
        asked = installed.cluster.attempt("--namespace", installed.namespace, "auth", "can-i", *what, user)
        return bool(asked.returncode == 0)

    assert may("spark-driver", "create", "pods")
    assert may("spark-driver", "deletecollection", "persistentvolumeclaims")
    assert not may("spark-driver", "get", "secrets")
    for account in ("spark-executor", "enricher", "notifier", "registry", "schemas", "toolbox"):
        assert not may(account, "create", "pods")
        assert not may(account, "get", "secrets")


def test_pods_that_spark_creates_have_no_dangling_reference(
    installed: Installed, scratch: Path, monkeypatch: Any
) -> None:
    """Spark itself submits each application, as the operator has it do; the pods are accepted, and run."""
    monkeypatch.setenv("KUBECONFIG", str(installed.cluster.kubeconfig))
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    java, spark = spark_java_home(PlatformSettings()), Path(spec.origin).parent
    applications = installed.get("sparkapplication")
    assert {a["metadata"]["name"] for a in applications} == {"detector-card", "detector-merchant", "lakehouse"}
    for application in applications:
        submit(application, installed.cluster.server, scratch, java, spark)

    def running(role: str) -> list[dict[str, Any]]:
        return [p for p in installed.get("pod", "-l", f"spark-role={role}") if p["status"]["phase"] == "Running"]

    installed.cluster.eventually("drivers run", lambda: len(running("driver")) == len(applications))
    with_executors = next(a for a in applications if a["metadata"]["name"] == "detector-card")
    driver = start_executors(with_executors, installed.cluster.server, scratch, java)
    try:
        wanted = with_executors["spec"]["executor"]["instances"]
        installed.cluster.eventually("executors run", lambda: len(running("executor")) >= wanted)
        for pod in [*running("driver"), *running("executor")]:
            container = pod["spec"]["containers"][0]
            assert container["command"] == ["/opt/cardwatch/spark-entrypoint"]
            assert container["args"][0] == pod["metadata"]["labels"]["spark-role"]
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert problems(Manifests(installed.get(KINDS))) == []
        if wanted > 1:
            installed.cluster.eventually(
                "the executors' budget counts them, and lets one go",
                lambda: _budget(installed, "detector-card") == (wanted, 1),
            )
    finally:
        _, said = driver.communicate("", timeout=120)
    assert "Forbidden" not in said, said[-4000:]


def test_upgrading_and_rolling_back(installed: Installed, tmp_path: Path) -> None:
    """The steps of docs/kubernetes.md: another version, and the one before."""

    def images() -> set[str]:
        deployments = installed.get("deployment")
        pods = [m["spec"]["template"]["spec"]["containers"][0]["image"] for m in deployments]
        return {image for image in pods if image.startswith("cardwatch/")}

    def applied(directory: str) -> None:
        installed.run("delete", "job", "schemas", "--ignore-not-found")
        done = installed.cluster.apply("-k", directory)
        assert done.returncode == 0, done.stderr
        installed.rolled_out()
        installed.run("wait", "--for=condition=Complete", "job/schemas", "--timeout=120s")

    before = images()
    names = [image.partition(":")[0] for image in before]
    _kustomization(
        tmp_path, installed, images=[{"name": name, "newTag": "0.2.0"} for name in [*names, "cardwatch/cli"]]
    )
    applied(str(tmp_path))
    assert images() == {f"{name}:0.2.0" for name in names}
    applied(str(installed.directory))
    assert images() == before


def test_optional_components_are_accepted(installed: Installed, tmp_path: Path) -> None:
    components = ROOT / "deploy" / "kubernetes" / "components"
    chosen = [_from(tmp_path, components / name) for name in ("snowflake-loader", "tracing", "versions")]
    _kustomization(tmp_path, installed, components=chosen, namespace=installed.namespace)
    done = installed.cluster.apply("--dry-run=server", "-k", str(tmp_path))
    # The Job is there, and a Job cannot be changed.
    assert done.returncode == 0 or re.fullmatch(r"The Job .schemas. is invalid: .*immutable\n", done.stderr, re.S)
    assert "deployment.apps/snowflake-loader serverside-applied (server dry run)" in done.stdout
    assert "networkpolicy.networking.k8s.io/trace-senders serverside-applied (server dry run)" in done.stdout
    rendered = Manifests(yaml.safe_load_all(installed.cluster.run("kustomize", str(tmp_path))))
    assert problems(rendered) == []


def test_rotating_a_secret(installed: Installed) -> None:
    """The step of docs/kubernetes.md: the Secret, then the pods that use it."""

    def pods() -> set[str]:
        return {p["metadata"]["uid"] for p in installed.get("pod", "-l", "app.kubernetes.io/name=enricher")}

    installed.rolled_out()
    before = pods()
    made = installed.run(
        *("create", "secret", "generic", "token-key", "--from-literal=key=00", "--from-literal=key-id=key-2"),
        *("--dry-run=client", "-o", "yaml"),
    )
    installed.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=made)
    installed.run("rollout", "restart", "deployment/enricher")
    installed.rolled_out()
    installed.cluster.eventually("the old ones are gone", lambda: not before & pods())


def test_the_dashboards_fit_into_config_maps(cluster: Any, operators: None) -> None:
    cluster.run("create", "namespace", "dashboards")
    try:
        done = cluster.apply("--namespace", "dashboards", "-k", str(ROOT / "deploy" / "grafana" / "dashboards"))
        assert done.returncode == 0, done.stderr
        found = cluster.get("configmap", "--namespace", "dashboards", "-l", "grafana_dashboard=1")
        assert len(found) == len(list((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")))
    finally:
        cluster.run("delete", "namespace", "dashboards", "--wait=false")


def _from(directory: Path, to: Path) -> str:
    """A path as kustomize wants it: relative."""
    return str(Path("../" * (len(directory.resolve().parts) - 1)) / str(to).lstrip("/"))


def _kustomization(directory: Path, installed: Installed, **more: Any) -> None:
    """An overlay of an overlay, in a directory."""
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [_from(directory, installed.directory)],
        **more,
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def _secrets(manifests: Manifests, namespace: str) -> str:
    """The Secrets that docs/kubernetes.md lists, and those that Strimzi creates for KafkaUsers and TLS."""
    wanted = {name: keys or frozenset({"ANY"}) for name, keys in EXTERNAL_SECRETS.items()}
    for kafka in manifests.of("Kafka"):
        wanted[f"{kafka['metadata']['name']}-cluster-ca-cert"] = frozenset({"ca.crt"})
        prefix = kafka["spec"]["entityOperator"]["userOperator"]["secretPrefix"]
        for user in manifests.names("KafkaUser"):
            wanted[f"{prefix}{user}"] = frozenset({"password", "sasl.jaas.config"})
    there = manifests.names("Secret")
    made = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "data": {key: base64.b64encode(b"only a test").decode() for key in keys},
        }
        for name, keys in wanted.items()
        if name not in there
    ]
    return yaml.safe_dump_all(made)


def _volumes(namespace: str) -> str:
    """Volumes for claims, which a simulated cluster does not provision."""
    return yaml.safe_dump_all(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{number}"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": f"/nowhere/{number}"},
            },
        }
        for number in range(5)
    )


def _budget(installed: Installed, name: str) -> tuple[int, int]:
    """How many pods a budget counts, and how many of them may go."""
    (status,) = (m["status"] for m in installed.get("poddisruptionbudget") if m["metadata"]["name"] == name)
    return status.get("expectedPods", 0), status.get("disruptionsAllowed", 0)
