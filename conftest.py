"""Settings for all tests, those of libraries and services too."""

import os

from cardwatch_platform.class_archive import NICENESS

# On a new machine the archive of Spark's classes is created while tests run, about a dozen of which start a Spark. At
# the lowest priority it would be interrupted by the end of each of them, and never be ready.
os.environ.setdefault(NICENESS, "0")
