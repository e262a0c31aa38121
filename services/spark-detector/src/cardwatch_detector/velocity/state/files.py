"""What this package needs of a file system (``runtime.hadoop_files``); tests use a directory."""

from typing import Protocol


class Files(Protocol):
    """Files and directories by their paths."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""

    def names(self, directory: str) -> list[str]:
        """The names of what is in a directory; none if there is no such directory."""

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none.

        Raises:
            CardwatchError: it cannot be read.
        """

    def write(self, path: str, text: str) -> None:
        """Write a file, or replace it: a reader finds all of the old text or all of the new one."""

    def delete(self, path: str) -> None:
        """Delete a file, or a directory with all that is in it."""
