"""The lock file ``artifacts.lock.json``: the files that the platform consists of.

It names every file of six sets (``kafka``, ``registry``, ``spark``, ``s3``, ``java-compiler``, ``java-tests``) with
size and SHA-256.
``cardwatch platform lock`` writes it from ``ROOTS``; ``cardwatch platform up`` downloads exactly these files, except
for the sets in ``OPTIONAL``, which are downloaded when a command needs them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cardwatch_contracts.errors import PlatformError

LOCK_PATH: Final = Path(__file__).with_name("artifacts.lock.json")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Module:
    """The Maven coordinates of one file."""

    group: str
    artifact: str
    version: str
    classifier: str | None = None
    type: str = "jar"

    @property
    def file_name(self) -> str:
        """Its name in a set's directory."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.group}__{self.artifact}-{self.version}{classifier}.{self.type}"

    def __str__(self) -> str:
        classifier = f":{self.classifier}" if self.classifier else ""
        return f"{self.group}:{self.artifact}:{self.version}{classifier}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A locked file: a module, its size in bytes and its SHA-256 in hexadecimal."""

    module: Module
    size: int
    sha256: str


ROOTS: Final[Mapping[str, Sequence[Module]]] = {
    "kafka": (
        Module("org.apache.kafka", "kafka_2.13", "4.1.1"),
        # Kafka logs through SLF4J 1.7; its own distribution adds this binding.
        Module("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
    ),
    "registry": (Module("io.apicurio", "apicurio-registry-app", "3.3.3", classifier="all", type="tar.gz"),),
    "spark": (
        Module("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.1.1"),
        Module("org.apache.spark", "spark-avro_2.13", "4.1.1"),
        Module("io.delta", "delta-spark_4.1_2.13", "4.4.0"),
        Module("com.globalmentor", "hadoop-bare-naked-local-fs", "0.1.0"),
    ),
    # In addition to spark: the jars that Spark needs to read and write s3a://.
    "s3": (
        Module("org.apache.hadoop", "hadoop-aws", "3.4.2"),
        Module("org.apache.spark", "spark-hadoop-cloud_2.13", "4.1.1"),
        Module("software.amazon.awssdk", "s3", "2.29.52"),
        Module("software.amazon.awssdk", "s3-transfer-manager", "2.29.52"),
        Module("software.amazon.awssdk", "sts", "2.29.52"),
    ),
    # With what `java_build` compiles and tests our own Java sources.
    "java-compiler": (Module("org.eclipse.jdt", "ecj", "3.40.0"),),
    "java-tests": (Module("org.junit.platform", "junit-platform-console-standalone", "1.14.4"),),
}
OPTIONAL: Final = frozenset({"s3", "java-compiler", "java-tests"})
# Without their dependencies: all of Amazon's services in one jar of 600 MB, and clients of the other clouds.
WITHOUT_DEPENDENCIES: Final = frozenset({"hadoop-aws", "spark-hadoop-cloud_2.13"})


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of the lock file: set name → its files."""

    sets: Mapping[str, tuple[Artifact, ...]]

    def digest(self, name: str) -> str:
        """A short name for the exact content of a set, under which it is cached."""
        content = "\n".join(sorted(f"{a.module.file_name} {a.sha256}" for a in self.sets[name]))
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def size(self, name: str) -> int:
        """Bytes to download for a set."""
        return sum(artifact.size for artifact in self.sets[name])

    def save(self, path: Path) -> None:
        """Write the lock file."""
        content = {
            "": "Written by `cardwatch platform lock`; do not edit.",
            "sets": {
                name: [
                    {**asdict(artifact.module), "size": artifact.size, "sha256": artifact.sha256}
                    for artifact in sorted(artifacts, key=lambda a: a.module.file_name)
                ]
                for name, artifacts in sorted(self.sets.items())
            },
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_lock(path: Path = LOCK_PATH) -> Lock:
    """Read a lock file.

    Raises:
        PlatformError: it is absent or malformed.
    """
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["sets"]
        return Lock({name: tuple(_artifact(entry) for entry in entries) for name, entries in sets.items()})
    except OSError as error:
        raise PlatformError(f"{path} cannot be read ({error.strerror}); `cardwatch platform lock` writes it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlatformError(
            f"{path} is not a lock file ({type(error).__name__}: {error}); `cardwatch platform lock` writes a new one"
        ) from error


def _artifact(entry: dict[str, Any]) -> Artifact:
    checksum = str(entry["sha256"])
    if len(checksum) != 64 or set(checksum) - set("0123456789abcdef"):
        raise ValueError(f"{checksum!r} is not a SHA-256")
    module = Module(
        group=str(entry["group"]),
        artifact=str(entry["artifact"]),
        version=str(entry["version"]),
        classifier=None if entry["classifier"] is None else str(entry["classifier"]),
        type=str(entry["type"]),
    )
    if {"/", "\\"} & set(module.file_name):
        raise ValueError(f"{module.file_name!r} is not a file name")
    return Artifact(module, size=int(entry["size"]), sha256=checksum)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
