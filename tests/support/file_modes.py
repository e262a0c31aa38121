"""Which files of a directory other users can use."""

import stat
from collections.abc import Iterator
from pathlib import Path


def open_files(directory: Path) -> list[str]:
    """The files and directories below a directory that are not 0600 or 0700, with their modes."""
    return [f"{path.relative_to(directory)}: {mode:04o}" for path, mode in _modes(directory) if mode & 0o077]


def _modes(directory: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(directory.rglob("*")):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISLNK(found.st_mode):
            yield path, stat.S_IMODE(found.st_mode)
