"""The packages of this repository and what they need, by their pyproject.toml: Python 3.11 and nothing else."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PATTERNS = ("libs/*", "services/*", "cli")


@dataclass(frozen=True)
class Package:
    """A package of this repository: its directory, relative to the root, and its ``[project]`` table."""

    directory: Path
    project: dict[str, Any]


def find_packages() -> dict[str, Package]:
    """Every package of the repository by its name."""
    found = {}
    for path in (path for pattern in _PATTERNS for path in ROOT.glob(f"{pattern}/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        found[project["name"]] = Package(path.parent.relative_to(ROOT), project)
    return found


def resolve(requirement: str) -> tuple[list[Package], list[str]]:
    """The packages of this repository that a requirement needs, directly or not, and the third-party requirements of
    all these; sorted by directory and by name."""
    known = find_packages()
    own: dict[str, Package] = {}
    third_party: set[str] = set()

    def visit(text: str) -> None:
        found = re.fullmatch(r"([\w.-]+)(?:\[([\w,. -]+)\])?(.*)", text)
        assert found is not None, text
        name, extras = found[1], [extra.strip() for extra in (found[2] or "").split(",") if extra.strip()]
        if name not in known:
            third_party.add(text)
            return
        project = known[name].project
        needed = [needed for extra in extras for needed in project["optional-dependencies"][extra]]
        if name not in own:
            own[name] = known[name]
            needed += project["dependencies"]
        for one in needed:
            visit(one)

    visit(requirement)
    return sorted(own.values(), key=lambda package: package.directory), sorted(third_party, key=str.lower)
