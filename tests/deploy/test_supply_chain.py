"""Bills of materials, exceptions of the audit, and digests of images: what they promise follows from the lock files."""

import hashlib
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
IMAGES = ("producer", "enricher", "detector", "notifier", "snowflake-loader", "cli")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# Digests that several public sources agree on; of the others none is known here.
BY_DIGEST = {"kafka", "postgres", "prometheus", "alertmanager", "grafana"}
BY_TAG = {"registry"}


def script(name: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def bill(image: str, directory: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "scripts/sbom"), image, "--to", str(directory), *options]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    text = Path(printed).read_text(encoding="utf-8")
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert errors is None, errors
    found: dict[str, Any] = json.loads(text)
    return found


# One in every run.
_FIRST, *_OTHERS = IMAGES


@pytest.mark.parametrize("image", [_FIRST, *(pytest.param(image, marks=pytest.mark.faults) for image in _OTHERS)])
def test_the_bill_of_an_image_is_valid_and_has_what_is_locked(image: str, tmp_path: Path) -> None:
    found = bill(image, tmp_path)
    purls = {component["purl"] for component in found["components"]}
    lock = (ROOT / f"requirements/images/{image}.txt").read_text(encoding="utf-8")
    locked = {
        f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
        for name, version in re.findall(r"^([\w.-]+)==([^\s\\;]+)", lock, re.MULTILINE)
    }
    assert len(locked) > 30
    python = {purl for purl in purls if purl.startswith("pkg:pypi/")}
    own = {purl for purl in python if purl.startswith("pkg:pypi/cardwatch-")}
    assert python - own == locked
    assert {"pkg:pypi/cardwatch-contracts@0.1.0", "pkg:pypi/cardwatch-service@0.1.0"} <= own
    sets = json.loads((ROOT / "libs/platform/src/cardwatch_platform/artifacts.lock.json").read_text())["sets"]
    jars = {
        (jar["group"], jar["artifact"], jar["version"], jar["sha256"]) for name in ("spark", "s3") for jar in sets[name]
    }
    in_bill = {
        (component["group"], component["name"], component["version"], component["hashes"][0]["content"])
        for component in found["components"]
        if component["purl"].startswith("pkg:maven/")
    }
    assert in_bill == (jars if image == "detector" else set())
    assert found["metadata"]["component"]["name"] == f"cardwatch/{image}"
    (root,) = (entry for entry in found["dependencies"] if entry["ref"].startswith(f"cardwatch/{image}@"))
    assert set(root["dependsOn"]) == purls


def test_the_build_adds_debians_packages_jars_and_the_interpreter(tmp_path: Path) -> None:
    debian = tmp_path / "debian.tsv"
    debian.write_text("libssl3\t3.0.17-1~deb12u2\tamd64\nzlib1g\t1:1.2.13.dfsg-1\tamd64\n")
    jars = tmp_path / "jars"
    jars.mkdir()
    with zipfile.ZipFile(jars / "described.jar", "w") as jar:
        pom = "#x\ngroupId=org.example\nartifactId=thing\nversion=1.2\n"
        jar.writestr("META-INF/maven/org.example/thing/pom.properties", pom)
    with zipfile.ZipFile(jars / "spark-sql_2.13-4.1.1.jar", "w") as jar:
        jar.writestr("x", "")
    options = ("--debian", str(debian), "--jars", str(jars), "--interpreter")
    found = {component["purl"]: component for component in bill("enricher", tmp_path, *options)["components"]}
    assert "pkg:deb/debian/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=debian-12" in found
    assert "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12" in found
    checksum = hashlib.sha256((jars / "described.jar").read_bytes()).hexdigest()
    assert found["pkg:maven/org.example/thing@1.2"]["hashes"] == [{"alg": "SHA-256", "content": checksum}]
    assert "pkg:generic/spark-sql_2.13@4.1.1" in found
    assert f"pkg:generic/python@{sys.version.split()[0]}" in found


def test_the_same_image_has_the_same_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795478400")
    assert bill("producer", tmp_path / "a") == bill("producer", tmp_path / "b")


def test_every_image_contains_its_bill() -> None:
    assert "--debian debian-packages.tsv" in DOCKERFILE
    runtime = DOCKERFILE.partition("AS runtime\n")[2].partition("\nFROM ")[0]
    assert "COPY --from=sbom /sbom /usr/share/sbom" in runtime
    assert "cardwatch.sbom=" in runtime


def test_exceptions_of_the_audit_are_explained_and_have_not_ended() -> None:
    audit = script("audit-dependencies")
    audit.accepted(audit.EXCEPTIONS.read_text(encoding="utf-8"), date(2026, 11, 30))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("# nothing\n\n", []),
        ("PYSEC-2026-1 thing 2026-12-31 only on Windows\n", ["PYSEC-2026-1"]),
        ("PYSEC-2026-1 thing 2026-11-30 only on Windows\n", ["PYSEC-2026-1"]),
        ("PYSEC-2026-1 thing 2026-11-29 only on Windows\n", "ended on 2026-11-29"),
        ("PYSEC-2026-1 thing 2026-12-31\n", "line 1: expected an id, a package, a date and a reason"),
        ("#\nPYSEC-2026-1 thing 2026-13-31 why\n", "line 2: expected"),
    ],
)
def test_an_exception_needs_a_reason_and_an_end(text: str, result: list[str] | str) -> None:
    accepted = script("audit-dependencies").accepted
    if isinstance(result, list):
        assert accepted(text, date(2026, 11, 30)) == result
        return
    with pytest.raises(SystemExit, match=result):
        accepted(text, date(2026, 11, 30))


def test_third_party_images_are_named_by_digest_where_it_is_known() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    third_party = {name: service["image"] for name, service in compose.items() if "cardwatch" not in service["image"]}
    assert third_party.keys() == BY_DIGEST | BY_TAG
    for name, image in third_party.items():
        with_digest = re.fullmatch(r"[\w./-]+:[\w.-]+\$\{CARDWATCH_\w+_DIGEST-@sha256:[0-9a-f]{64}\}", image)
        assert bool(with_digest) == (name in BY_DIGEST), image


def test_the_base_image_can_be_given_by_digest() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11-slim-bookworm$", DOCKERFILE, re.MULTILINE)
    assert "FROM ${PYTHON_IMAGE} AS python" in DOCKERFILE


def test_each_promise_of_the_threat_model_names_a_test_that_exists() -> None:
    page = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    rows = page.partition("<!-- promises")[2].partition("\n## ")[0].splitlines()
    promises = [row for row in rows if row.startswith("| ") and not row.startswith("| promise")]
    assert len(promises) > 15
    for row in promises:
        named = re.findall(r"`([\w/.-]+\.py)(?:::(\w+))?`", row.rpartition(" | ")[2])
        assert named, row
        for path, function in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not function or f"def {function}(" in text, f"{path} has no {function}"
