"""The files of a checkpoint in a directory, without Spark, and kills between any two changes of them."""

import shutil
from pathlib import Path


class KilledError(Exception):
    """The process was killed here."""


class DirectoryFiles:
    """``cardwatch_detector.velocity.state.files.Files`` on this machine.

    Attributes:
        changes_left: how many changes are made before the process is killed; None for any number.
    """

    def __init__(self) -> None:
        self.changes_left: int | None = None

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""
        return Path(path).exists()

    def names(self, directory: str) -> list[str]:
        """The names of what is in a directory."""
        place = Path(directory)
        return sorted(one.name for one in place.iterdir()) if place.is_dir() else []

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none."""
        if Path(path).parent.is_file():
            raise NotADirectoryError(path)  # as Hadoop does
        return Path(path).read_text() if Path(path).is_file() else None

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        self._change()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    def delete(self, path: str) -> None:
        """Delete a file or directory."""
        self._change()
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)

    def _change(self) -> None:
        if self.changes_left is not None:
            if self.changes_left == 0:
                raise KilledError
            self.changes_left -= 1
