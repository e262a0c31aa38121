"""Settings for all tests, those of libraries and services too."""

import os

from cardwatch_platform.class_archive import NICENESS

# On a new machine the archive of Spark's classes is made while tests run, of which a dozen start a Spark. At the lowest
# priority it would be cut off by the end of one after the other, and ready for none.
os.environ.setdefault(NICENESS, "0")
