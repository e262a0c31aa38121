"""What the tests of the rule engine in the JVM share."""

from collections.abc import Iterator

import pytest
from support.engine_console import EngineConsole, engine_console


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineConsole]:
    """The engine as a process."""
    with engine_console() as console:
        yield console
