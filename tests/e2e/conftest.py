"""Lines on the session's broker and registry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.pipelines import MakeLine, Struck, lines, struck_line


@pytest.fixture
def make_line(platform: Any, tmp_path: Path) -> Iterator[MakeLine]:
    """Makes lines of the test's own."""
    with lines(platform, tmp_path) as make:
        yield make


@pytest.fixture(scope="session")
def struck(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    """One line for all that is asked of lines whose services were killed."""
    with struck_line(platform, tmp_path_factory.mktemp("struck")) as line:
        yield line
