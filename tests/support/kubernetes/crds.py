"""The custom resource definitions that deploy/kubernetes needs: fetched once, kept in the user's cache directory.

The operators' projects publish them in packages of different languages; none is kept in this repository. Versions and
checksums are pinned. Definitions that cannot be fetched (no network, no Go) raise ``DefinitionsUnavailableError``.
"""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform import PlatformSettings, SilentReporter
from cardwatch_platform.artifacts import Module, sha256_of
from cardwatch_platform.download import run_ivy
from cardwatch_platform.ivy import IvyRun
from cardwatch_platform.java import java, java_environment

Definition = dict[str, Any]


class DefinitionsUnavailableError(Exception):
    """Definitions that cannot be fetched here; the message says why."""


@dataclass(frozen=True)
class Source:
    """Where the definitions of some API groups come from.

    Attributes:
        name: the operator's, with its version: what a reader would install.
        groups: API groups of custom resources.
        fetch: creates the definitions in a directory.
        key: cache key: the pinned versions, and how the definitions are created from them.
    """

    name: str
    groups: tuple[str, ...]
    fetch: Callable[[Path], list[Definition]]
    key: str

    def definitions(self) -> list[Definition]:
        """From the cache, or fetched now.

        Raises:
            DefinitionsUnavailableError: they cannot be fetched.
        """
        cache = PlatformSettings().cache_dir.absolute() / "kubernetes-crds"
        digest = hashlib.sha256(f"{self.name} {self.key}".encode() + Path(__file__).read_bytes()).hexdigest()[:12]
        path = cache / f"{self.groups[0]}-{digest}.json"
        if not path.is_file():
            with tempfile.TemporaryDirectory(prefix="cardwatch-crds-") as scratch:
                found = self.fetch(Path(scratch))
            cache.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps(found), encoding="utf-8")
            unfinished.replace(path)
        return list(json.loads(path.read_text(encoding="utf-8")))


def _strimzi(directory: Path) -> list[Definition]:
    """Strimzi publishes the classes of its resources, and the program that generates definitions from them."""
    jars = []
    for module, checksum in _STRIMZI.items():
        run = IvyRun(module.artifact, (module,), False, directory / module.artifact, PlatformSettings())
        try:
            run_ivy([run], 0, SilentReporter())
        except PlatformError as error:
            raise DefinitionsUnavailableError(str(error)) from error
        jar = next(path for found, path in run.retrieved() if found == module)
        if sha256_of(jar) != checksum:
            raise AssertionError(f"{module} is not the pinned file: its SHA-256 is {sha256_of(jar)}")
        jars.append(str(jar))
    made = {name: directory / f"{name.rpartition('.')[2]}.yaml" for name in _STRIMZI_KINDS}
    options = ["--target-kube", "1.30+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"]
    command = [java(), "-XX:TieredStopAtLevel=1", "-cp", ":".join(jars), "io.strimzi.crdgenerator.CrdGenerator"]
    classes = [f"io.strimzi.api.kafka.model.{name}={path}" for name, path in made.items()]
    subprocess.run([*command, *options, "--yaml", *classes], check=True, env=java_environment())
    return [_read(path) for path in made.values()]


def _go_module(module: str, checksum: str, *names: str) -> Callable[[Path], list[Definition]]:
    """The definitions in a Go module's source, which Go's own client fetches and checks."""

    def fetch(directory: Path) -> list[Definition]:
        if shutil.which("go") is None:
            raise DefinitionsUnavailableError(f"{module} is a Go module, and there is no `go` on the PATH")
        environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOMODCACHE": str(directory / "go"), "GOWORK": "off"}
        got = subprocess.run(
            ["go", "mod", "download", "-modcacherw", "-json", module],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
        )
        told = json.loads(got.stdout) if got.stdout else {}
        if "Dir" not in told:
            raise DefinitionsUnavailableError(
                f"{module} could not be downloaded: {told.get('Error') or got.stderr.strip()}"
            )
        if told["Sum"] != checksum:
            raise AssertionError(f"{module} is not the pinned module: its checksum is {told['Sum']}")
        return [_read(Path(told["Dir"]) / name) for name in names]

    return fetch


def _spark(directory: Path) -> list[Definition]:
    """The Spark operator publishes its API as Python models with the same fields; a definition is generated from them.

    The models lack defaults, enumerations and rules in CEL.
    """
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{_SPARK} --hash=sha256:{_SPARK_SHA256}\n", encoding="utf-8")
    options = ["--quiet", "--no-deps", "--require-hashes", "--dest", str(directory), "--requirement", str(requirements)]
    got = subprocess.run([sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True)
    if got.returncode != 0:
        raise DefinitionsUnavailableError(f"{_SPARK} could not be downloaded: {got.stderr.strip().splitlines()[-1:]}")
    with zipfile.ZipFile(next(directory.glob("*.whl"))) as wheel:
        wheel.extractall(directory / "models")
    sys.path.insert(0, str(directory / "models"))
    try:
        models = importlib.import_module("kubeflow_spark_api.models.spark_v1beta2_spark_application")
        schema = models.SparkV1beta2SparkApplication.model_json_schema(by_alias=True)
    finally:
        sys.path.remove(str(directory / "models"))
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": "sparkapplications.sparkoperator.k8s.io",
                # The group's name is a protected one; the operator's own definition says the same.
                "annotations": {
                    "api-approved.kubernetes.io": "https://github.com/kubeflow/spark-operator/pull/1298",
                },
            },
            "spec": {
                "group": "sparkoperator.k8s.io",
                "names": {
                    "kind": "SparkApplication",
                    "listKind": "SparkApplicationList",
                    "plural": "sparkapplications",
                    "singular": "sparkapplication",
                },
                "scope": "Namespaced",
                "versions": [
                    {
                        "name": "v1beta2",
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "schema": {"openAPIV3Schema": structural(schema, schema["$defs"])},
                    }
                ],
            },
        }
    ]


def structural(schema: dict[str, Any], definitions: dict[str, Any], top: bool = True) -> dict[str, Any]:
    """A model's JSON schema in the form of a definition: without references, alternatives and descriptions."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.endswith(("IntOrString", "Quantity")):
            return {"x-kubernetes-int-or-string": True}
        return structural(definitions[name], definitions, top=False)
    if "anyOf" in schema:
        given = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return structural(given[0], definitions, top=False)
    kind = schema.get("type")
    if kind == "array":
        return {"type": "array", "items": structural(schema["items"], definitions, top=False)}
    if kind != "object":
        return {"type": kind} if kind else {"x-kubernetes-preserve-unknown-fields": True}
    if "properties" not in schema:
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            return {"type": "object", "additionalProperties": structural(values, definitions, top=False)}
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    fields = {
        name: {"type": "object"} if top and name == "metadata" else structural(value, definitions, top=False)
        for name, value in schema["properties"].items()
    }
    made: dict[str, Any] = {"type": "object", "properties": fields}
    if required := schema.get("required"):
        made["required"] = required
    return made


def _read(path: Path) -> Definition:
    loaded: Definition = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return loaded


_STRIMZI: Final = {
    Module("io.strimzi", "api", "1.2.0"): "566961ae5e5646a001ae91312beda5cba3a5d467e740e205e1b761754335fe4e",
    Module("io.strimzi", "crd-generator", "1.2.0"): "76bb2430e702a1e6a24c071d26c865d5e9572cbc630d176d3b912033ae23ed00",
}
_STRIMZI_KINDS: Final = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
_SPARK: Final = "kubeflow-spark-api==2.4.0"
_SPARK_SHA256: Final = "c86989b74395afaf20f011d13bcb665584f2b2f1fc3289fdfa988092acab7f7c"

SOURCES: Final = (
    Source("Strimzi 1.2.0", ("kafka.strimzi.io",), _strimzi, str(_STRIMZI)),
    Source(
        "KEDA 2.20.2",
        ("keda.sh",),
        _go_module(
            "github.com/kedacore/keda/v2@v2.20.2",
            "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=",
            "config/crd/bases/keda.sh_scaledobjects.yaml",
            "config/crd/bases/keda.sh_triggerauthentications.yaml",
        ),
        "",
    ),
    Source(
        "Prometheus operator 0.93.1",
        ("monitoring.coreos.com",),
        _go_module(
            "github.com/prometheus-operator/prometheus-operator@v0.93.1",
            "h1:4Juk8v93RdG1DSGD/mGp+SeQKPmnlLIj2iq3blLZgFY=",
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ),
        "",
    ),
    Source("Spark operator 2.4.0", ("sparkoperator.k8s.io",), _spark, _SPARK_SHA256),
)


def validator_schema(definition: Definition, version: str) -> dict[str, Any]:
    """The JSON schema of one version of a custom resource, which refuses fields that the API server does not know."""
    for served in definition["spec"]["versions"]:
        if served["name"] == version:
            return dict(_strict(served["schema"]["openAPIV3Schema"], top=True))
    raise AssertionError(f"{definition['metadata']['name']} has no version {version}")


def _strict(schema: Any, top: bool = False) -> Any:
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {name: value for name, value in schema.items() if not name.startswith("x-kubernetes")}
    for name in ("properties", "patternProperties"):
        if name in made:
            made[name] = {key: _strict(value) for key, value in made[name].items()}
    for name in ("items", "additionalProperties"):
        if name in made:
            made[name] = _strict(made[name])
    if top:
        made["properties"]["metadata"] = {"type": "object"}
    closed = made.get("type") == "object" and "properties" in made and "additionalProperties" not in made
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    if schema.get("nullable"):
        made["type"] = [made["type"], "null"]
    return made


def documents(path: Path) -> Iterator[dict[str, Any]]:
    """The manifests in a file."""
    loaded = yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return (manifest for manifest in loaded if manifest)
