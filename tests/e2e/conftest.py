"""Lines for end-to-end tests: real processes on the session's broker and registry, each under a prefix of its own."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_cli.demo.line import Line, LineOptions
from otlp_collector import Collector, collector

REPOSITORY: Final = Path(__file__).parents[2]

MakeLine = Callable[..., Line]


@pytest.fixture
def traces() -> Iterator[Collector]:
    """An OpenTelemetry collector."""
    with collector() as found:
        yield found


@pytest.fixture
def make_line(platform: Any, tmp_path: Path) -> Iterator[MakeLine]:
    """Makes a line that is started and ready; the test's end leaves nothing of it running."""
    with ExitStack() as lines:

        def make(rules: Path = REPOSITORY / "config/rules/demo.yaml", **options: Any) -> Line:
            prefix = f"e2e-{uuid.uuid4().hex[:8]}."
            line = lines.enter_context(Line(platform, LineOptions(tmp_path / prefix, rules, prefix, **options)))
            line.start()
            line.wait_ready()
            return line

        yield make
