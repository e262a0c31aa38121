"""Settings for processes that live no longer than a test, in which nobody measures how long anything takes."""

from collections.abc import Mapping
from typing import Final

from cardwatch_detector.runtime.session import QUICK_JVM

QUICK: Final[Mapping[str, str]] = {
    # What the optimising compiler makes is thrown away before it pays: in the first half minute it takes the time of
    # what it compiles for. Only Spark's Java looks at this. Not for a detector tuned for throughput, which has another
    # collector: Java takes no two.
    "JAVA_TOOL_OPTIONS": QUICK_JVM,
    "CARDWATCH_DETECTOR_WARM_UP": "false",
}

# Tables that take as long as all the others, for lines on which nobody looks at them.
WITHOUT_SLOW_TABLES: Final[Mapping[str, str]] = {
    f"CARDWATCH_LAKEHOUSE_{name}": "false" for name in ("PROFILES", "VELOCITY", "MINUTES")
}
