"""Small files and directories on any of Hadoop's file systems, where checkpoints are."""

from typing import Final

from cardwatch_contracts.errors import CardwatchError
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from cardwatch_detector.runtime.failures import innermost_cause
from cardwatch_detector.runtime.internals import delete_path, hadoop_path, write_atomically


class UnreadableFileError(CardwatchError):
    """A file is there and cannot be read: it is damaged, or its store does not answer."""


class HadoopFiles:
    """The files that a Spark session reaches."""

    def __init__(self, session: SparkSession) -> None:
        self._session: Final = session

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""
        target, file_system = hadoop_path(self._session, path)
        return bool(file_system.exists(target))

    def names(self, directory: str) -> list[str]:
        """The names of what is in a directory, sorted; none if there is no such directory."""
        target, file_system = hadoop_path(self._session, directory)
        if not file_system.exists(target):
            return []
        return sorted(str(status.getPath().getName()) for status in file_system.listStatus(target))

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none.

        Raises:
            UnreadableFileError: it cannot be read.
        """
        target, file_system = hadoop_path(self._session, path)
        try:
            if not file_system.exists(target):
                return None
            stream = file_system.open(target)
            try:
                return bytes(stream.readAllBytes()).decode()
            finally:
                stream.close()
        except (Py4JJavaError, UnicodeDecodeError) as error:
            raise UnreadableFileError(f"{path} cannot be read: {innermost_cause(str(error))}") from error

    def write(self, path: str, text: str) -> None:
        """Write a file, or replace it: a reader finds all of the old text or all of the new one."""
        write_atomically(self._session, path, text.encode())

    def delete(self, path: str) -> None:
        """Delete a file, or a directory with all that is in it."""
        delete_path(self._session, path)
