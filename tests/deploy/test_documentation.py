"""The documentation names paths that exist, its links resolve, and the examples of the libraries run."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.rows import every_row

REPOSITORY: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "services/*/*.md",
        "libs/*/*.md",
        "cli/*.md",
        "schemas/*.md",
        "tests/*.md",
        "benchmarks/*.md",
    )
    for path in REPOSITORY.glob(pattern)
)
TOP_LEVEL: Final = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
# Created by a build, by a run of the program, or by the user.
GENERATED: Final = re.compile(r"^(dist|secrets|\.cardwatch|\.venv|\.databricks)/")
FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
QUOTED: Final = re.compile(r"`([\w./*-]+)`")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_path(word: str) -> bool:
    """Whether a quoted word is a path from the root of the repository; CONTRIBUTING.md adds a service ``reporter``."""
    return "/" in word and word.split("/")[0] in TOP_LEVEL and not GENERATED.match(word) and "reporter" not in word


def relative_names(page: Path) -> Iterator[str]:
    """Files that the README of a package names relative to its source, such as ``pipeline.py`` or ``outbox/``."""
    for word in QUOTED.findall(prose(page)):
        if word.endswith((".py", "/")) and not is_path(word) and not word.startswith(("/", ".")):
            yield word


@every_row("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_of_a_page_resolve(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@every_row("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_paths_that_a_page_names_exist(page: Path) -> None:
    missing = [
        word for word in QUOTED.findall(prose(page)) if is_path(word) and not list(REPOSITORY.glob(word.rstrip("/")))
    ]
    assert missing == []


def test_modules_beside_a_path_exist() -> None:
    """The architecture names a module alone after the path of another one: both are in the same directory."""
    directory, missing = REPOSITORY, []
    for word in QUOTED.findall(prose(REPOSITORY / "docs/architecture.md")):
        if is_path(word):
            directory = REPOSITORY / word if word.endswith("/") else (REPOSITORY / word).parent
        elif word.endswith(".py") and word not in {"bootstrap.py", "metrics.py"} and not (directory / word).exists():
            missing.append(word)
    assert missing == []


@pytest.mark.parametrize(
    "page",
    sorted([*REPOSITORY.glob("services/*/README.md"), *REPOSITORY.glob("libs/*/README.md")]),
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)
def test_modules_that_a_readme_names_exist(page: Path) -> None:
    missing = [word for word in relative_names(page) if not list(page.parent.glob(f"**/{word.rstrip('/')}"))]
    assert missing == []


@pytest.mark.parametrize("library", sorted(path.name for path in REPOSITORY.glob("libs/*") if path.is_dir()))
def test_the_example_of_a_library_runs(library: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", (REPOSITORY / "libs" / library / "README.md").read_text(), re.S)
    assert examples, "the README has an example"
    for example in examples:
        if example.startswith("# Starts "):  # a broker; the tests of the library do the same
            continue
        subprocess.run([sys.executable, "-c", example], cwd=REPOSITORY, check=True, timeout=60)


def test_pages_that_the_code_names_exist() -> None:
    """Docstrings, comments, error messages and manifests name pages of docs/ by their path."""
    named = {
        (page, str(path.relative_to(REPOSITORY)))
        for directory in ("libs", "services", "cli", "tests", "deploy", "scripts", "benchmarks", "config")
        for path in (REPOSITORY / directory).rglob("*")
        if path.suffix in {"", ".py", ".yaml", ".yml", ".json"} and path.is_file()
        for page in re.findall(r"docs/[\w/.-]+\.md", path.read_text(encoding="utf-8", errors="ignore"))
    }
    assert named
    assert sorted((page, file) for page, file in named if not (REPOSITORY / page).exists()) == []
