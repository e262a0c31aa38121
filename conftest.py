"""How tests are divided among processes: `make test` has two (pytest-xdist), as the machine has cores.

A file's tests stay together, and so does what shares a costly process: the detector's own tests, many of them on one
Spark, and those on whole lines. The longest come first; the lines come last, when the other process has nothing left to
do: their lakehouse runs at the lowest priority, and would get nothing done beside it.
"""

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

    def place(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        if file in _LINES:
            return 3
        return 0 if file.startswith(_SPARK) else 1 if file in _LONG else 2

    items.sort(key=place)
