"""docs/metrics.md lists the metrics that exist; the catalogue knows every module that makes one, a `metrics.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cardwatch_observability import catalogue
from cardwatch_observability.catalogue import JOBS, OURS, all_metrics, metrics_of, shared_metrics

REPOSITORY: Final = Path(__file__).parents[3]
PAGE: Final = REPOSITORY / "docs/metrics.md"
MAKERS: Final = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
FAMILIES: Final = {"GaugeMetricFamily", "CounterMetricFamily", "HistogramMetricFamily"}

# | `name` | kind | labels | services | meaning | normal |
ROW: Final = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$")


def rows() -> dict[str, re.Match[str]]:
    lines = PAGE.read_text().splitlines()
    found = [match for line in lines if (match := ROW.match(line))]
    assert len(found) == sum(re.match(r"\| `\w+` ", line) is not None for line in lines), (
        "a row of the page has another shape"
    )
    names = [match[1] for match in found]
    assert len(names) == len(set(names)), "a metric is on the page twice"
    return dict(zip(names, found, strict=True))


def test_the_page_lists_exactly_the_metrics_that_exist() -> None:
    listed = {name: (row[2], tuple(re.findall(r"`(\w+)`", row[3]))) for name, row in rows().items()}
    assert listed == {name: (metric.kind, metric.labels) for name, metric in all_metrics().items()}


def test_the_page_names_the_services_of_a_metric() -> None:
    shared = {metric.name for metric in shared_metrics()}
    own = {job: {metric.name for metric in metrics_of(job)} - shared for job in JOBS}
    for name, row in rows().items():
        if name not in shared:
            assert row[4].split(", ") == [job for job in JOBS if name in own[job]], name
        elif not name.startswith(OURS):
            assert row[4] == "all", name
        else:
            assert row[4] == "all" or set(row[4].split(", ")) <= set(JOBS), name


def test_the_catalogue_knows_every_module_that_makes_a_metric() -> None:
    known = {
        node.module for node in ast.walk(parsed(Path(str(catalogue.__file__)))) if isinstance(node, ast.ImportFrom)
    }
    making = {
        ".".join(path.relative_to(source).with_suffix("").parts)
        for source, path in source_files()
        if makes_metrics(parsed(path))
    }
    assert making, "the services have metrics"
    assert making - known == set(), "add them to the catalogue"


def test_metrics_are_defined_in_files_named_metrics() -> None:
    defining = [path for _, path in source_files() if defines_metrics(parsed(path))]
    assert defining, "the services have metrics"
    assert [path for path in defining if path.name != "metrics.py"] == []


def source_files() -> Iterator[tuple[Path, Path]]:
    """The source directory of each library and service, with each file in it."""
    for source in REPOSITORY.glob("*/*/src"):
        if source.parent.parent.name in {"libs", "services"}:
            for path in source.rglob("*.py"):
                yield source, path


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def makes_metrics(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and str(node.module).startswith("prometheus_client")
        and {alias.name for alias in node.names} & (MAKERS | FAMILIES)
        for node in ast.walk(module)
    )


def defines_metrics(module: ast.Module) -> bool:
    """Whether a module calls the constructor of a metric; a module that only names the type does not."""
    return makes_metrics(module) and any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS | FAMILIES
        for node in ast.walk(module)
    )
