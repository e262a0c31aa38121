"""How tests are divided among processes: `make test` has two (pytest-xdist), as the machine has cores.

A file's tests stay together, and so does what shares a costly process: the detector's own tests, many of them on one
Spark, and those on whole lines. The longest come first. Beside the lines, whose lakehouse runs at the lowest priority
and would get little done, the other process does what needs nothing but a core, at the lowest priority too.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_SPARK: Final = "services/spark-detector/tests/"
_LONG: Final = tuple(
    f"tests/{name}.py"
    for name in (
        "integration/test_lakehouse",
        "integration/test_card_profile",
        "e2e/test_handbook",
        "integration/test_live_rules",
        "integration/test_detector",
    )
)
_LINES: Final = tuple(f"tests/e2e/{name}.py" for name in ("test_demo", "test_kill", "test_same_everywhere"))
# What only computes, and may take as long as it takes.
_BESIDE: Final = tuple(
    f"{name}/"
    for name in (
        "services/snowflake-loader/tests",
        "services/producer/tests",
        "libs/oracle/tests",
        "libs/rules/tests",
        "libs/lakehouse/tests",
        "tests/property",
    )
)

_LAST: Final = 4
_LOWEST_PRIORITY: Final = 19


class _InGroups(LoadScopeScheduling):
    """Gives each process whole groups, in the order of their first tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(_SPARK):
            return _SPARK
        return "lines" if file in _LINES else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """In place of --dist's."""
    return _InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one place stay in the order in which they were found."""
    items.sort(key=_place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What runs beside the lines gives way to them; in one process it does not."""
    if "PYTEST_XDIST_WORKER" in os.environ and _place(item) == _LAST and os.nice(0) < _LOWEST_PRIORITY:
        with suppress(OSError):
            # Where the kernel shares out time by session first, a process is given way to only as a session of its own.
            os.setsid()
            Path("/proc/self/autogroup").write_text(str(_LOWEST_PRIORITY))
        os.nice(_LOWEST_PRIORITY)


def _place(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0]
    if file.startswith(_SPARK):
        return 0
    if file in _LONG:
        return 1
    return 3 if file in _LINES else _LAST if file.startswith(_BESIDE) else 2
