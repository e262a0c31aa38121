"""Settings for all tests, those of libraries and services too."""

import os

from cardwatch_platform.class_archive import NICENESS
from cardwatch_units.file_modes import PRIVATE_UMASK
from hypothesis import settings
from support.random_examples import THOROUGH

# On a new machine the archive of Spark's classes is created while tests run, about a dozen of which start a Spark. At
# the lowest priority it would be interrupted by the end of each of them, and never be ready.
os.environ.setdefault(NICENESS, "0")

# As every command does (cardwatch_service.commands). It has to be done before the first Java process is started: a
# worker's tests share one, and what it writes gets its mode from the umask that it began with.
os.umask(PRIVATE_UMASK)

# Has to exist before Hypothesis reads its option --hypothesis-profile.
settings.register_profile(THOROUGH)
