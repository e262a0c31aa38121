"""How tests are divided among processes: `make test` has two (pytest-xdist), as the machine has cores.

A file's tests stay together, and so does what shares a costly process: the detector's own tests, many of them on one
Spark, and those on whole lines. Whichever process is free takes the next group. Two that run side by side are to need
two cores between them: the detector's own tests have little more than one, beside the long ones of one service; the
kills of the lakehouse take what they get, beside tests that mostly wait for a broker. Beside the lines, the longest
group, runs what needs no broker; in the end, at the lowest priority, what needs nothing but a core. The lakehouse of
the lines has that priority too.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_SPARK: Final = "services/spark-detector/tests/"
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

# Beginnings of files' names, in the order in which the files' tests run.
_ORDER: Final[tuple[tuple[str, ...], ...]] = (
    (_SPARK,),
    (
        "tests/e2e/test_handbook.py",
        *(f"tests/integration/test_{name}.py" for name in ("card_profile", "detector", "live_rules")),
    ),
    ("tests/integration/test_lakehouse.py",),
    ("tests/integration/",),
    _LINES,
    (),  # all others
    _BESIDE,
)
_OTHERS: Final = _ORDER.index(())
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
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith(_BESIDE) and os.nice(0) < _LOWEST_PRIORITY:
        with suppress(OSError):
            # Where the kernel shares out time by session first, a process is given way to only as a session of its own.
            os.setsid()
            Path("/proc/self/autogroup").write_text(str(_LOWEST_PRIORITY))
        os.nice(_LOWEST_PRIORITY)


def _place(item: pytest.Item) -> int:
    return next((place for place, names in enumerate(_ORDER) if item.nodeid.startswith(names)), _OTHERS)
