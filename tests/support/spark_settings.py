"""Settings for Spark services that run for the length of one test, where nobody measures their speed."""

from collections.abc import Mapping
from typing import Final

from cardwatch_detector.runtime.session import QUICK_JVM

QUICK: Final[Mapping[str, str]] = {
    # Within a test the optimising compiler costs more time than it saves. Only Spark's JVM reads this variable. Not for
    # a detector tuned for throughput: that one sets another garbage collector, and a JVM refuses two.
    "JAVA_TOOL_OPTIONS": QUICK_JVM,
    "CARDWATCH_DETECTOR_WARM_UP": "false",
}

# Switches off the tables that take as long as all the others, for pipelines whose tests do not look at them.
WITHOUT_SLOW_TABLES: Final[Mapping[str, str]] = {
    f"CARDWATCH_LAKEHOUSE_{name}": "false" for name in ("PROFILES", "VELOCITY", "MINUTES")
}
