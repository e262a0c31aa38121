"""docker-compose.yml, .env.example and the Dockerfile, read as text: requirements of each service and image.

`make test-images` builds and runs them; this needs no docker.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = {name for name, service in SERVICES.items() if "build" in service}
JOBS: Final = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
PYTHON: Final = "python:3.11-slim-bookworm"
USER: Final = "10001:10001"
# At the start Kafka writes its configuration, and the registry its extensions, into directories of their images.
WRITABLE_ROOT: Final = {"kafka", "registry"}

# Stage name → its base and its whole text.
STAGES: Final = {
    found[2]: (found[1], found[0])
    for found in re.finditer(r"^FROM (\S+) AS ([\w-]+)$\n(?:(?!FROM ).*\n)*", DOCKERFILE, re.M)
}

_REFERENCE: Final = re.compile(r"(?<!\$)\$\{(\w+)(?::?-([^}]*))?\}")


def references() -> Iterator[tuple[str, str]]:
    """The variables that docker-compose.yml reads, with their defaults."""
    text = "\n".join(line.split(" #")[0] for line in (ROOT / "docker-compose.yml").read_text().splitlines())
    for found in _REFERENCE.finditer("\n".join(x for x in text.splitlines() if not x.startswith("#"))):
        yield found[1], found[2] or ""


def settings() -> dict[str, str]:
    """The variables of .env.example, commented out or not."""
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text, re.M))


def locked(path: Path) -> dict[str, str]:
    """name → its whole entry (version, marker, checksums) in a file of pinned requirements."""
    entries = re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.M)
    return {canonicalize_name(re.split(r"[=\[ ]", entry)[0]): entry.strip() for entry in entries if entry[:1].isalnum()}


def what_runs(image: str) -> str:
    """The stages that make up an image, the first one first, without its base."""
    base, text = STAGES[image]
    return text if base == "${BASE}" else what_runs(base) + text


def image_requirements(*arguments: str) -> list[str]:
    """The output of scripts/image-requirements."""
    command = [sys.executable, str(ROOT / "scripts/image-requirements"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]


# image → the directory of its package.
OWN_PACKAGES: Final = {
    image: package
    for image in image_requirements()
    if image not in ("build", "artifacts")
    for package in image_requirements(image, "packages")
    if not package.startswith("libs/")
}


def test_the_settings_file_lists_exactly_the_variables_that_are_read() -> None:
    assert settings().keys() - {"COMPOSE_PROFILES"} == {name for name, _ in references()}


def test_the_settings_file_shows_the_effective_defaults() -> None:
    wrong = {name: default for name, default in references() if settings()[name] != default}
    assert not wrong


def test_a_variable_has_the_same_default_wherever_it_is_read() -> None:
    defaults: dict[str, set[str]] = {}
    for name, default in references():
        defaults.setdefault(name, set()).add(default)
    assert [name for name, found in defaults.items() if len(found) > 1] == []


def test_the_profiles_are_those_that_the_settings_file_explains() -> None:
    used = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert used == {"core", "observability", "demo", "snowflake", "tools"}
    assert all(service.get("profiles") for service in SERVICES.values())
    assert set(settings()["COMPOSE_PROFILES"].split(",")) <= used


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("mem_limit"), "no memory limit"
    assert service.get("read_only", False) is (name not in WRITABLE_ROOT)
    assert not {"privileged", "cap_add", "network_mode", "pid", "container_name"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_grace_period_and_a_restart_policy(name: str) -> None:
    service = SERVICES[name]
    if name in JOBS:
        assert "ports" not in service
        return
    assert service["restart"] == "unless-stopped"
    assert service.get("stop_grace_period"), "no grace period"
    own = "healthcheck" in service
    assert own or "HEALTHCHECK --interval" in what_runs(service["build"]["target"])


@pytest.mark.parametrize("name", SERVICES)
def test_published_ports_listen_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port), port


def test_scaled_services_publish_no_port() -> None:
    assert not [name for name in ("enricher", "notifier", "producer") if "ports" in SERVICES[name]]


def test_third_party_images_are_pinned() -> None:
    for name in SERVICES.keys() - OURS:
        tag = SERVICES[name]["image"].partition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag), f"{name} has no version"


def test_every_wait_is_for_a_service_of_the_same_profiles() -> None:
    """A profile that is switched on alone must contain the services that its services wait for."""
    for name, service in SERVICES.items():
        for awaited in service.get("depends_on", {}):
            assert set(service["profiles"]) <= set(SERVICES[awaited]["profiles"]), f"{name} waits for {awaited}"


def test_services_wait_for_completed_jobs_and_healthy_services() -> None:
    for service in SERVICES.values():
        awaited = service.get("depends_on", {})
        for name, how in awaited.items() if isinstance(awaited, dict) else ():
            assert how["condition"] == ("service_completed_successfully" if name in JOBS else "service_healthy")


def test_secrets_are_files_and_not_variables() -> None:
    assert all(secret["file"].startswith("${CARDWATCH_SECRETS:-./secrets}/") for secret in COMPOSE["secrets"].values())
    assert "secrets/" in (ROOT / ".gitignore").read_text().split()
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        if "build" in service:
            read = any(name.startswith("cardwatch_") for name in service.get("secrets", []))
            assert ("CARDWATCH_SECRETS_DIR" in service["environment"]) is read
        for variable in service.get("environment", {}):
            assert not re.search(r"(PASSWORD|SECRET|TOKEN_KEY|PASSPHRASE)$", variable), variable


def test_data_volumes_are_named_and_other_mounts_read_only() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or volume.endswith(":ro"), f"{name}: {volume}"


def test_every_mounted_file_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source


def test_every_service_of_the_repository_has_an_image() -> None:
    packages = {path.parent for path in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "cli/pyproject.toml"]}
    assert {ROOT / package for package in OWN_PACKAGES.values()} == packages
    assert {SERVICES[name]["build"]["target"] for name in OURS} == set(OWN_PACKAGES)


def test_every_service_builds_the_stage_of_its_image() -> None:
    for name in OURS:
        build = SERVICES[name]["build"]
        assert f"}}{build['target']}:$" in SERVICES[name]["image"]
        assert build["args"]["IMAGE"] == build["target"], name
        assert build["args"].keys() >= {"VERSION", "REVISION"}


def test_bases_are_pinned() -> None:
    bases = {base for base, _ in STAGES.values()} - {"${BASE}"}
    bases |= set(re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.M))
    bases |= {SERVICES[name]["build"]["args"].get("BASE", "python") for name in OURS}
    assert bases - STAGES.keys() == {"${PYTHON_IMAGE}"}
    assert re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.M) == [PYTHON]
    assert len(STAGES) == len(re.findall(r"^FROM ", DOCKERFILE, re.M))


def test_the_build_context_has_what_the_dockerfile_copies_and_nothing_else() -> None:
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M)
    copied = {source.replace("${IMAGE}", "cli") for copy in copies for source in copy.split()}
    assert copied
    first, *patterns = re.findall(r"^[^#\s].*$", (ROOT / ".dockerignore").read_text(), re.M)
    assert first == "*"
    kept = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    places = {source: [keep for keep in kept if Path(source).is_relative_to(keep)] for source in copied}
    assert [source for source, found in places.items() if not found] == []
    assert kept == {keep for found in places.values() for keep in found}
    assert [source for source in copied if not (ROOT / source).exists()] == []
    # What is left out everywhere has no part of what is copied by its name.
    left_out = {pattern.removeprefix("**/") for pattern in patterns if not pattern.startswith("!")}
    assert [source for source in copied if left_out & set(Path(source).parts)] == []


@pytest.fixture(params=OWN_PACKAGES)
def image(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_build_stages_are_not_part_of_images(image: str) -> None:
    assert not re.search(r"\b(pip|binutils)\b", what_runs(image))


def test_images_run_without_privileges_and_have_labels(image: str) -> None:
    final = what_runs(image)
    assert re.findall(r"^USER (\S+)$", final, re.M) == [USER]
    assert re.search(r'^ENTRYPOINT \["', final, re.M), "the exec form makes the service process 1, which gets SIGTERM"
    assert re.search(r"^HEALTHCHECK ", final, re.M)
    for label in ("title", "description", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in final
    assert not re.search(r"\b(curl|wget|sudo)\b", DOCKERFILE)


def test_images_install_pinned_versions_with_checksums_only() -> None:
    commands = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&]*", DOCKERFILE)
    assert commands
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command, command


def test_an_image_copies_the_packages_that_it_needs_and_no_other(image: str, tmp_path: Path) -> None:
    """The command of the stage ``sources``, run here, selects exactly what the stage ``packages`` copies."""
    assert re.findall(r"^COPY (.*)$", STAGES["packages"][1], re.M) == ["--from=sources /packages ./"]
    (command,) = re.findall(r"^RUN ((?:.*\\\n)*.*)$", STAGES["sources"][1], re.M)
    for directory in ("/packages", "/downloader"):
        command = re.sub(rf" {directory}\b", f" {tmp_path}{directory}", command)
    command = command.replace("python ", f"{sys.executable} ")
    subprocess.run(["/bin/sh", "-euc", command], cwd=ROOT, env={**os.environ, "IMAGE": image}, check=True)
    for directory, name in (("packages", image), ("downloader", "artifacts")):
        copied = {path.parent for path in (tmp_path / directory).glob("**/pyproject.toml")}
        wanted = image_requirements(name, "packages")
        assert {str(path.relative_to(tmp_path / directory)) for path in copied} == set(wanted)
        assert OWN_PACKAGES[image] in wanted or name == "artifacts"


@pytest.mark.parametrize("image", image_requirements())
def test_requirements_of_an_image_are_locked_and_complete(image: str) -> None:
    everything, own = locked(ROOT / "requirements/requirements.txt"), locked(ROOT / f"requirements/images/{image}.txt")
    for name, entry in own.items():
        version, checksums = entry.split(" ")[0].partition("==")[2], set(re.findall(r"sha256:\w+", entry))
        assert everything[name].split(" ")[0].partition("==")[2] == version, f"`make lock` was not run: {name}"
        assert checksums <= set(re.findall(r"sha256:\w+", everything[name])), name
    direct = [Requirement(text) for text in image_requirements(image)]
    assert {canonicalize_name(requirement.name) for requirement in direct} <= own.keys(), "`make lock` was not run"
    waiting, done = list(direct), set()
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (key := (canonicalize_name(requirement.name), extra)) in done:
                continue
            done.add(key)
            assert key[0] in own, f"{key[0]} is missing in requirements/images/{image}.txt: `make lock` was not run"
            for text in requires(requirement.name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
