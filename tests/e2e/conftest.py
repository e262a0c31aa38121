"""Whole pipelines on the session's broker and registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pipelines import KilledPipeline, StartPipeline, killed_pipeline, running_pipelines
from support.platforms import Platform


@pytest.fixture
def start_pipeline(platform: Platform, tmp_path: Path) -> Iterator[StartPipeline]:
    """Starts the test's own pipelines."""
    with running_pipelines(platform, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def killed(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledPipeline]:
    """One pipeline, shared by all tests of killed services."""
    with killed_pipeline(platform, tmp_path_factory.mktemp("killed")) as pipeline:
        yield pipeline
