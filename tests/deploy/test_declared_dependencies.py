"""Each package declares what it imports, because an image contains the declared packages only."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = sorted(
    path.parent for pattern in ("libs/*", "services/*", "cli") for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
DISTRIBUTIONS: Final = packages_distributions()
# Modules with another name than the declared package that contains and versions them.
BROUGHT: Final = {
    "py4j": "pyspark",
    "mode": "faust-streaming",
    "aiokafka": "faust-streaming",
    "psycopg_pool": "psycopg",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(source: Path) -> Iterator[tuple[str, str]]:
    """The top-level modules that a package's code imports anywhere, except for type checking only."""
    for path in source.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in for_types:
                continue
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], path.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0], path.name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_declares_what_it_imports(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *(x for extra in project.get("optional-dependencies", {}).values() for x in extra),
    ]
    names = {canonical(re.split(r"[\[<>=!~; ]", text)[0]) for text in declared} | {project["name"]}
    undeclared = {
        f"{module} ({where})"
        for module, where in imported(package / "src")
        if module not in sys.stdlib_module_names
        and not {canonical(BROUGHT.get(module, x)) for x in DISTRIBUTIONS.get(module, [module])} & names
    }
    assert not undeclared
