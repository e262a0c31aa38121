"""How the tests are shared out between two processes (`make test`): what uses the broker stays in one of them."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).parent
# They share one broker, one registry and what those are told; the longest way through all tests, so it begins first.
_LINE = (_ROOT / "tests" / "integration", _ROOT / "tests" / "e2e")
# A process has one JVM for all of its Spark sessions.
_SPARK = _ROOT / "services" / "spark-detector" / "tests"


def _group(path: Path) -> str:
    if any(path.is_relative_to(directory) for directory in _LINE):
        return "line"
    return "spark" if path.is_relative_to(_SPARK) else str(path.relative_to(_ROOT))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for ``--dist loadgroup``, those on the broker first, those on Spark alone next."""
    groups = {item: _group(item.path) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    order = {"line": 0, "spark": 1}
    items.sort(key=lambda item: order.get(groups[item], 2))
