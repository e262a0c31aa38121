"""Directories of tables and checkpoints on this machine."""

from pathlib import Path

from cardwatch_service.logs import get_logger
from cardwatch_units.file_modes import close_to_others

from cardwatch_detector.runtime.object_stores import is_local

_log = get_logger(__name__)


def close_directories(*directories: str) -> None:
    """Take the rights of other users from directories that earlier versions created, and log that they had them."""
    for directory in directories:
        changed = close_to_others(Path(directory.removeprefix("file:"))) if is_local(directory) else ""
        if changed:
            _log.warning(changed)
