"""Secrets in files: other users of a machine should not be able to read them."""

import sys
from collections.abc import Callable
from pathlib import Path

from cardwatch_units.file_modes import PRIVATE_UMASK, close_to_others, open_to_others


def _to_standard_error(sentence: str) -> None:
    # Settings are read before the logs are configured.
    print(f"warning: {sentence}", file=sys.stderr)


def close_secret_files(directory: Path, warn: Callable[[str], None] = _to_standard_error) -> None:
    """``close_secret_file`` for each file of a directory of secrets."""
    for path in sorted(directory.iterdir()):
        if path.is_file():
            close_secret_file(path, warn)


def close_secret_file(path: Path, warn: Callable[[str], None] = _to_standard_error) -> None:
    """Take the rights of other users from a file with a secret, and warn that they had them.

    A file stays as it is where its directory keeps others out, and where it belongs to another user: container
    platforms mount secrets as root's, into a file system that only the container has.
    """
    try:
        if not open_to_others(path):
            return
    except OSError:
        return  # whoever reads the file reports that
    changed = close_to_others(path, PRIVATE_UMASK)
    if changed:
        warn(f"the secret in {changed}; replace it if others use this machine")
