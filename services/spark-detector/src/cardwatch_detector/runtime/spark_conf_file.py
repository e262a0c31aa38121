"""A file of Spark settings that a deployment adds: ``CARDWATCH_SPARK_CONF_FILE``."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import ConfigurationError

_NAME: Final = re.compile(r"\s*([^\s=:#!][^\s=:]*)")
_SUBMIT_ARGUMENTS: Final = "PYSPARK_SUBMIT_ARGS"
# Cardwatch sets these; Java takes further options from the environment.
_RESERVED: Final = ("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions")


def names_in(path: Path) -> frozenset[str]:
    """Names of the settings in a file in the format of Spark's spark-defaults.conf.

    Values are not looked at: they may be secrets.

    Raises:
        ConfigurationError: the file cannot be read, or sets what only Cardwatch can.
    """
    try:
        names = frozenset(_names(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"CARDWATCH_SPARK_CONF_FILE names {path}, which cannot be read: {error}") from error
    if refused := sorted(names.intersection(_RESERVED)):
        raise ConfigurationError(
            f"{path} sets {refused[0]}, which holds Cardwatch's own options; JDK_JAVA_OPTIONS in the environment "
            "adds to them"
        )
    if strange := sorted(name for name in names if not name.startswith("spark.")):
        raise ConfigurationError(f"{path} sets {strange[0]}; expected names that begin with spark.")
    return names


def submit_with(path: Path) -> None:
    """Let the Spark that this process starts next read the file itself: everybody can read a command line."""
    arguments = os.environ.get(_SUBMIT_ARGUMENTS, "pyspark-shell")
    os.environ[_SUBMIT_ARGUMENTS] = (
        f"--properties-file {shlex.quote(str(path.absolute()))} --load-spark-defaults {arguments}"
    )


def _names(text: str) -> Iterator[str]:
    continued = False
    for line in text.splitlines():
        found = None if continued else _NAME.match(line)
        comment = not continued and line.lstrip().startswith(("#", "!"))
        continued = not comment and line.endswith("\\")
        if found is not None:
            yield found[1]
