"""Who else on a machine can read the files that Cardwatch writes: nobody, unless ``CARDWATCH_UMASK`` says otherwise.

State, tables, logs and results hold card tokens, amounts and alerts. Whatever a process and its children create
(SQLite, RocksDB, Delta, Kafka's log, a JVM's files) gets its mode from the process's umask, so it is set in one place,
where every command begins (``cardwatch_service.commands``).
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

UMASK_VARIABLE: Final = "CARDWATCH_UMASK"
PRIVATE_UMASK: Final = 0o077
_OTHERS: Final = 0o007


@contextmanager
def private_files(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """What this process and the processes that it starts create is open to nobody else: files 0600, directories 0700.

    ``CARDWATCH_UMASK`` in the environment is another umask in octal digits: ``027`` lets the group of the files read.

    Raises:
        ValueError: ``CARDWATCH_UMASK`` is not a umask that keeps out users who are not in the group.
    """
    before = os.umask(umask_in(environment))
    try:
        yield
    finally:
        os.umask(before)


def umask_in(environment: Mapping[str, str]) -> int:
    """The umask that the environment asks for; PRIVATE_UMASK if it does not.

    Raises:
        ValueError: it is not a umask that keeps out users who are not in the group.
    """
    text = environment.get(UMASK_VARIABLE, "")
    if not text:
        return PRIVATE_UMASK
    try:
        umask = int(text, 8)
    except ValueError:
        umask = -1
    if not 0 <= umask <= 0o077 or umask & _OTHERS != _OTHERS:
        raise ValueError(
            f"{UMASK_VARIABLE}={text!r}: expected 077 (files for this user only), 027 (the group may read them) or 007 "
            "(the group may write them): what Cardwatch writes is never open to all users of a machine"
        )
    return umask


def current_umask() -> int:
    """The umask of this process."""
    umask = os.umask(PRIVATE_UMASK)
    os.umask(umask)
    return umask


def close_to_others(path: Path, umask: int | None = None) -> str:
    """Take the rights from an existing file or directory that new ones would not have, if it belongs to this user.

    Earlier versions created files with the umask that they found. A directory that nobody else can enter protects what
    is in it, so the files in it need no change.

    Args:
        umask: the rights to take; by default those that this process's umask takes from new files.

    Returns:
        A sentence that says what was changed; empty if nothing was. Files that are missing, those of other users (a
        mounted volume's root, for instance) and directories that all users share (``/tmp``) stay as they are.
    """
    try:
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        closed = mode & ~(current_umask() if umask is None else umask)
        if closed == mode or found.st_uid != os.geteuid() or mode & stat.S_ISVTX:
            return ""
        path.chmod(closed)
    except OSError:
        return ""
    return f"{path} was open to other users of this machine (mode {mode:04o}) and is closed to them now ({closed:04o})"


def open_to_others(path: Path) -> bool:
    """Whether other users can read a file: by its own mode, and because they can enter its directory."""
    mode, directory = (stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent))
    return bool(mode & 0o044) and bool(directory & 0o011)
