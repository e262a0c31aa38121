"""What an image consists of, as a bill of materials in CycloneDX 1.6 (JSON).

Everything comes from what the image is built from: packages of this repository from their pyproject.toml, third-party
packages from the lock file, jars from artifacts.lock.json and from the files themselves, Debian's packages from dpkg.
"""

import csv
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packages import ROOT, resolve
from packageurl import PackageURL

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s\\;]+)")
_POM = re.compile(r"META-INF/maven/[^/]+/[^/]+/pom\.properties")
_JAR_NAME = re.compile(r"(.+?)-(\d[\w.+-]*)\.jar")
_ARTIFACTS = ROOT / "libs/platform/src/cardwatch_platform/artifacts.lock.json"
# The sets of artifacts.lock.json that are in an image, as the Dockerfile installs them.
_JARS = {"detector": ("spark", "s3")}


def own_packages(requirement: str) -> Iterator[Component]:
    """The packages of this repository that a requirement needs."""
    packages, _ = resolve(requirement)
    for package in packages:
        yield _component(PackageURL("pypi", None, package.project["name"], package.project["version"]))


def locked_packages(lock: Path) -> Iterator[Component]:
    """The third-party packages of a lock file of pip."""
    for line in lock.read_text(encoding="utf-8").splitlines():
        found = _PINNED.match(line)
        if found:
            yield _component(PackageURL("pypi", None, re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]))


def locked_jars(image: str) -> Iterator[Component]:
    """The jars of artifacts.lock.json that an image contains, with their checksums."""
    sets = json.loads(_ARTIFACTS.read_text(encoding="utf-8"))["sets"]
    for jar in (jar for name in _JARS.get(image, ()) for jar in sets[name]):
        qualifiers = {"classifier": jar["classifier"]} if jar["classifier"] else None
        yield _component(PackageURL("maven", jar["group"], jar["artifact"], jar["version"], qualifiers), jar["sha256"])


def jars_in(directory: Path, known: Iterable[Component]) -> Iterator[Component]:
    """The jars of a directory, such as those that pyspark brings, except for the known ones (by checksum).

    Coordinates are those that Maven has written into a jar; otherwise the file's name is all that is known.
    """
    checksums = {item.content for component in known for item in component.hashes}
    for path in sorted(directory.glob("*.jar")):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 not in checksums:
            yield _component(_coordinates(path), sha256)


def _coordinates(path: Path) -> PackageURL:
    with zipfile.ZipFile(path) as jar:
        poms = [name for name in jar.namelist() if _POM.fullmatch(name)]
        # A jar with the descriptors of several is a bundle of others.
        if len(poms) == 1:
            lines = jar.read(poms[0]).decode("utf-8", "replace").splitlines()
            found = dict(line.strip().split("=", 1) for line in lines if "=" in line)
            if {"groupId", "artifactId", "version"} <= found.keys():
                return PackageURL("maven", found["groupId"], found["artifactId"], found["version"])
    named = _JAR_NAME.fullmatch(path.name)
    return PackageURL("generic", None, *(named.groups() if named else (path.stem, None)))


def debian_packages(table: Path) -> Iterator[Component]:
    """The packages of the base image: a table of name, version and architecture, as dpkg-query writes it."""
    with table.open(encoding="utf-8", newline="") as lines:
        for name, version, architecture in csv.reader(lines, delimiter="\t"):
            yield _component(PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": "debian-12"}))


def interpreter() -> Component:
    """The Python that runs this: that of the image, in its build."""
    return _component(PackageURL("generic", None, "python", sys.version.split()[0]), kind=ComponentType.PLATFORM)


def write_bill(image: str, version: str, components: Iterable[Component]) -> str:
    """The document. The same components make the same one, if SOURCE_DATE_EPOCH is set as well."""
    root = Component(
        name=f"cardwatch/{image}",
        version=version,
        type=ComponentType.CONTAINER,
        bom_ref=f"cardwatch/{image}@{version}",
        purl=PackageURL("docker", "cardwatch", image, version),
    )
    unique = {str(component.purl): component for component in components}
    bom = Bom(components=unique.values())
    bom.metadata.component = root
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    bom.metadata.timestamp = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    bom.serial_number = uuid5(NAMESPACE_URL, "\n".join([str(root.purl), *sorted(unique)]))
    bom.register_dependency(root, unique.values())
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def _component(purl: PackageURL, sha256: str = "", kind: ComponentType = ComponentType.LIBRARY) -> Component:
    return Component(
        name=purl.name,
        group=purl.namespace if purl.type == "maven" else None,
        version=purl.version,
        type=kind,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
    )
