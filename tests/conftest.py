"""Fixtures for tests of several services: one real broker and one real schema registry for the whole session."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator

import pytest
from cardwatch_kafka.setup import apply_all
from support.platforms import PLATFORM_VARIABLE, Platform, choose_platform

# In the background or under nohup this process ignores one of them, and its child processes would inherit that.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Broker and registry, with schemas registered and topics created under the empty prefix.

    Embedded, or containers when ``CARDWATCH_TEST_PLATFORM=containers``.
    """
    chosen = os.environ.get(PLATFORM_VARIABLE, "embedded")
    with choose_platform(chosen, tmp_path_factory.mktemp("platform")) as started:
        apply_all(started.bootstrap_servers, started.registry_url)
        yield started


@pytest.fixture(scope="session")
def new_topic_prefix(platform: Platform) -> Callable[[], str]:
    """Creates prefixes for CARDWATCH_TOPIC_PREFIX, each with its topics created and its schemas registered."""

    def new() -> str:
        prefix = f"t{uuid.uuid4().hex[:8]}."
        apply_all(platform.bootstrap_servers, platform.registry_url, prefix)
        return prefix

    return new


@pytest.fixture
def topic_prefix(new_topic_prefix: Callable[[], str]) -> str:
    """This test's own prefix."""
    return new_topic_prefix()
