"""The Databricks bundle and its wheel against the code that they name; no account is needed."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.main import app
from cardwatch_detector.runtime import object_stores
from cardwatch_detector.runtime import session as spark_session
from cardwatch_detector.runtime.databricks import login_modules
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.spark_config import spark_config
from cardwatch_service.settings import ServiceSettings
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[4]
BUNDLE = ROOT / "deploy/databricks/databricks.yml"
WHEEL = "cardwatch_databricks-*.whl"
SETTINGS: tuple[type[BaseSettings], ...] = (ServiceSettings, SparkSettings, VelocitySettings, LakehouseSettings)
# What the runtime brings (docs/databricks.md).
OF_THE_RUNTIME = {"pyspark", "delta-spark", "pyarrow", "numpy", "py4j"}


@pytest.fixture(scope="module")
def bundle() -> Any:
    return yaml.safe_load(BUNDLE.read_text())


@pytest.fixture(scope="module")
def jobs(bundle: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = bundle["resources"]["jobs"]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, str(ROOT / "scripts/wheels"), "--databricks", str(directory)]
    subprocess.run(build, check=True, capture_output=True)
    (found,) = (directory / "databricks").glob(WHEEL)
    return found


def variables(jobs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for job in jobs.values():
        for cluster in job["job_clusters"]:
            yield from cluster["new_cluster"]["spark_env_vars"].items()


def field_of(variable: str) -> tuple[type[BaseSettings], str] | None:
    for settings in sorted(SETTINGS, key=lambda kind: -len(str(kind.model_config["env_prefix"]))):
        prefix = str(settings.model_config["env_prefix"])
        name = variable.removeprefix(prefix).lower()
        if variable.startswith(prefix) and name in settings.model_fields:
            return settings, name
    return None


def test_each_job_runs_a_command_without_end(jobs: Mapping[str, Any]) -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    for name, job in jobs.items():
        assert job["continuous"] == {"pause_status": "UNPAUSED", "task_retry_mode": "ON_FAILURE"}
        assert job["max_concurrent_runs"] == 1, "two of them would share a checkpoint"
        (task,), (cluster,) = job["tasks"], job["job_clusters"]
        assert task["job_cluster_key"] == cluster["job_cluster_key"]
        assert cluster["new_cluster"]["data_security_mode"] == "SINGLE_USER"
        assert cluster["new_cluster"]["spark_version"] == "18.x-scala2.13", "of Spark 4.1"
        assert task["python_wheel_task"]["parameters"] == [name]
        assert name in commands


def test_every_environment_variable_is_a_setting_and_takes_its_value(
    bundle: Any, jobs: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables(jobs):
        assert field_of(variable) is not None, f"no service reads {variable}"
        monkeypatch.setenv(variable, resolved(bundle, value))
    for settings in SETTINGS:
        settings()


# Of variables and secrets whose form is checked.
MADE_UP = {"schema_registry_url": "https://registry", "registry-basic-auth": "user:password"}


def resolved(bundle: Any, value: str) -> str:
    value = re.sub(r"\{\{secrets/[^/]+/([a-z-]+)\}\}", lambda found: MADE_UP.get(found[1], "x"), value)
    return re.sub(r"\$\{var\.(\w+)\}", lambda found: default_of(bundle, found[1]), value)


def default_of(bundle: Any, variable: str) -> str:
    return str(bundle["variables"][variable].get("default", MADE_UP.get(variable, "x")))


def test_secrets_are_names_of_secrets(bundle: Any, jobs: Mapping[str, Any]) -> None:
    secret = set()
    for variable, value in variables(jobs):
        found = field_of(variable)
        assert found is not None
        settings, name = found
        if settings.model_fields[name].annotation is SecretStr or re.search("PASSWORD|AUTH|USERNAME|TOKEN", variable):
            secret.add(variable)
            assert re.fullmatch(r"\{\{secrets/\$\{var\.secret_scope\}/[a-z-]+\}\}", value), (
                f"{variable} is not a reference to a secret"
            )
    assert secret == {
        "CARDWATCH_KAFKA_SASL_USERNAME",
        "CARDWATCH_KAFKA_SASL_PASSWORD",
        "CARDWATCH_SCHEMA_REGISTRY_BASIC_AUTH",
    }
    assert set(re.findall(r"\{\{secrets/[^/]+/([a-z-]+)\}\}", BUNDLE.read_text())) == set(
        re.findall(r"\b(?:kafka|registry)-[a-z-]+", bundle["variables"]["secret_scope"]["description"])
    ), "the description names the secrets that have to be there"


def test_every_variable_is_defined_and_used(bundle: Any) -> None:
    used = set(re.findall(r"\$\{var\.(\w+)\}", BUNDLE.read_text()))
    assert used == set(bundle["variables"])
    for target in bundle["targets"].values():
        assert set(target.get("variables", {})) <= used


def test_the_cluster_has_the_limits_of_a_local_session(jobs: Mapping[str, Any]) -> None:
    from cardwatch_detector.runtime.session import _AVRO_LIMITS, _HIDDEN_OPTIONS

    for job in jobs.values():
        (cluster,) = job["job_clusters"]
        conf = cluster["new_cluster"]["spark_conf"]
        assert conf["spark.driver.extraJavaOptions"] == conf["spark.executor.extraJavaOptions"] == _AVRO_LIMITS
        assert conf["spark.redaction.regex"] == _HIDDEN_OPTIONS


def test_the_wheel_is_what_the_bundle_installs_and_starts(bundle: Any, jobs: Mapping[str, Any], wheel: Path) -> None:
    (source,) = bundle["artifacts"]["cardwatch"]["files"]
    for job in jobs.values():
        (task,) = job["tasks"]
        package, engine = task["libraries"]
        assert package["whl"] == source["source"] == "../../dist/databricks/*.whl"
        (jar,) = wheel.parent.glob("*.jar")
        assert engine["jar"] == f"../../dist/databricks/{jar.name}"
        assert "cardwatch/engine/spark/VelocityOperator.class" in zipfile.ZipFile(jar).namelist()
        assert task["python_wheel_task"]["package_name"] == wheel.name.partition("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
            assert (
                f"{task['python_wheel_task']['entry_point']} = cardwatch_detector.main:app"
                in archive.read(entries).decode().splitlines()
            )


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path)]
    subprocess.run([*pip, str(wheel)], check=True)
    code = """
import importlib, pkgutil, sys
from pathlib import Path
for name in sys.argv[2:]:
    package = importlib.import_module(name)
    assert Path(package.__file__).is_relative_to(sys.argv[1]), package.__file__
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
from cardwatch_contracts.schemas import SCHEMA_NAMES, parsed_schema
from cardwatch_reference.tables import read_bin_countries
assert all(parsed_schema(name) for name in SCHEMA_NAMES)
read_bin_countries()
"""
    packages = sorted(path.name for path in tmp_path.glob("cardwatch_*") if (path / "__init__.py").is_file())
    assert {"cardwatch_contracts", "cardwatch_detector", "cardwatch_rules"} <= set(packages)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *packages],
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )


def test_the_wheel_requires_all_that_it_imports(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("METADATA"))
        sources = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")]
    required = {canonical(name) for name in re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.M)}
    assert not required & OF_THE_RUNTIME, "another one beside the runtime's own would break it"
    assert all("==" in line for line in metadata.splitlines() if line.startswith("Requires-Dist")), "pinned"
    distributions = packages_distributions()
    for name in {name for source in sources for name in imported(source)}:
        if name in sys.stdlib_module_names or name.startswith("cardwatch_"):
            continue
        of = {canonical(distribution) for distribution in distributions[name]}
        assert of & (required | OF_THE_RUNTIME), f"nothing that the wheel requires brings {name}"


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_kafkas_login_modules_have_another_name_there() -> None:
    assert login_modules({}) == "org.apache.kafka.common.security"
    assert login_modules({"DATABRICKS_RUNTIME_VERSION": "18"}) == "kafkashaded.org.apache.kafka.common.security"


class GivenConf:
    """A running session's settings, which include those of its cluster."""

    def __init__(self) -> None:
        self.of_the_cluster = {"spark.sql.streaming.stateStore.providerClass": "the runtime's own"}
        self.set_later: dict[str, str] = {}

    def contains(self, name: str) -> bool:
        return name in self.of_the_cluster

    def isModifiable(self, name: str) -> bool:  # noqa: N802 - Spark's name
        return name.startswith("spark.sql.")

    def set(self, name: str, value: str) -> None:
        assert self.isModifiable(name)
        self.set_later[name] = value


def test_an_existing_session_is_used_and_the_clusters_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = GivenConf()
    session = SimpleNamespace(conf=conf, sparkContext=SimpleNamespace(getConf=lambda: conf))
    sessions: Any = SimpleNamespace(builder=SimpleNamespace(getOrCreate=lambda: session), getActiveSession=lambda: None)
    ours = spark_config(VelocitySettings(partitions=3))
    assert spark_session.given_session(ours, sessions) is None
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.2")
    assert spark_session.given_session(ours, sessions) is session
    assert conf.set_later["spark.sql.shuffle.partitions"] == "3"
    assert conf.set_later["spark.sql.session.timeZone"] == "UTC"
    assert not conf.set_later.keys() & (conf.of_the_cluster.keys() | {object_stores.CHECKPOINT_FILES})
