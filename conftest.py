"""How tests are divided among processes: `make test` has three (pytest-xdist), two for the machine's two cores and one
for what those leave.

A file's tests stay together, and so does what shares a costly process: the detector's own tests, many of them on one
Spark, and those on whole lines. Whichever of the two is free takes the next group, the long ones first. All of these
wait now and then, for a broker or for a single task of Spark. The third process has what needs neither a broker nor
Spark, and last, at the lowest priority, what needs nothing but a core: it fills what the others leave to the end. The
lakehouse of the lines has that priority too.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from cardwatch_platform.class_archive import NICENESS
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

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
    ("tests/e2e/test_handbook.py", "tests/integration/test_card_profile.py"),
    ("tests/integration/test_lakehouse.py",),
    _LINES,
    tuple(f"tests/integration/test_{name}.py" for name in ("detector", "live_rules")),
    ("tests/integration/",),
    (),  # all others
    _BESIDE,
)
_OTHERS: Final = _ORDER.index(())
_LOWEST_PRIORITY: Final = 19
_THIRD: Final = "gw2"  # pytest-xdist's name for the third process

# On a new machine the archive of Spark's classes is made while tests run, of which a dozen start a Spark. At the lowest
# priority it would be cut off by the end of one after the other, and ready for none.
os.environ.setdefault(NICENESS, "0")


class _InGroups(LoadScopeScheduling):
    """Gives each process whole groups, in the order of their first tests; the third one begins with ``_OTHERS``."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(_SPARK):
            return _SPARK
        return "lines" if file in _LINES else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node.gateway.id == _THIRD and (group := self._for_third()):
            self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if node.gateway.id == _THIRD and not self._for_third() and not node.shutting_down:
            node.shutdown()
        super()._reschedule(node)

    def _for_third(self) -> str | None:
        return next((group for group, tests in self.workqueue.items() if _place(next(iter(tests))) >= _OTHERS), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """In place of --dist's."""
    return _InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one place stay in the order in which they were found."""
    items.sort(key=lambda item: _place(item.nodeid))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What only computes gives way to all others; in one process it does not."""
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith(_BESIDE) and os.nice(0) < _LOWEST_PRIORITY:
        with suppress(OSError):
            # Where the kernel shares out time by session first, a process is given way to only as a session of its own.
            os.setsid()
            Path("/proc/self/autogroup").write_text(str(_LOWEST_PRIORITY))
        os.nice(_LOWEST_PRIORITY)


def _place(nodeid: str) -> int:
    return next((place for place, names in enumerate(_ORDER) if nodeid.startswith(names)), _OTHERS)
