"""From lock file to cache directory: download, verify, and only then make visible.

<cache>/sets/<set>-<digest>/     complete and verified, or absent: it appears by one rename
<cache>/staging/                 a download under way; a later one starts by deleting it
<cache>/download.lock            held while downloading
"""

import shutil
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cardwatch_contracts.errors import PlatformError
from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from cardwatch_platform.artifacts import OPTIONAL, Lock, Module, sha256_of
from cardwatch_platform.ivy import IvyRun, UnreachableError
from cardwatch_platform.reporting import Reporter
from cardwatch_platform.settings import PlatformSettings

_POLL_SECONDS: Final = 0.2
_STALL_SECONDS: Final = 60.0
_ATTEMPTS: Final = 3
_OTHERS_DOWNLOAD_SECONDS: Final = 1800.0


def ensure_artifacts(
    lock: Lock, settings: PlatformSettings, reporter: Reporter, names: Collection[str] | None = None
) -> Mapping[str, Path]:
    """The directory of each set, downloaded now if it is not there yet.

    Args:
        names: of the sets; by default all that are not optional.

    Raises:
        PlatformError: a file could not be downloaded or is not the one that the lock names; nothing of its set is kept.
    """
    cache_dir = settings.cache_dir.absolute()
    wanted = lock.sets.keys() - OPTIONAL if names is None else names
    directories = {name: cache_dir / "sets" / f"{name}-{lock.digest(name)}" for name in wanted}
    if not _absent(directories):
        return directories
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with only_one(cache_dir, reporter):
            # Another process may have brought them while this one waited.
            if missing := _absent(directories):
                _download(missing, lock, settings, reporter, directories)
    except OSError as error:
        raise PlatformError(
            f"the cache directory {cache_dir} cannot be written ({error.strerror or error}); "
            "CARDWATCH_CACHE_DIR names another one"
        ) from error
    return directories


@contextmanager
def only_one(cache_dir: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the cache's download lock; the system gives it back however this process ends."""
    lock = FileLock(cache_dir / "download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.message("Another cardwatch is downloading; waiting for it.")
        try:
            lock.acquire(timeout=_OTHERS_DOWNLOAD_SECONDS)
        except Timeout as error:
            raise PlatformError(
                f"another cardwatch has been downloading into {cache_dir} for {_OTHERS_DOWNLOAD_SECONDS / 60:.0f} "
                "minutes; stop it and try again"
            ) from error
    try:
        yield
    finally:
        lock.release()


def run_ivy(runs: Sequence[IvyRun], total_bytes: int, reporter: Reporter) -> None:
    """Run them side by side, telling how many bytes have come, and try again what the network has broken.

    Raises:
        PlatformError: one of them failed for good.
    """
    for attempt in Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=5.0),
        retry=retry_if_exception_type(UnreachableError),
        reraise=True,
    ):
        with attempt:  # files that came in an earlier attempt are in Ivy's cache
            _run_once(runs, total_bytes, reporter)


def _absent(directories: Mapping[str, Path]) -> list[str]:
    return [name for name, directory in directories.items() if not directory.is_dir()]


def _download(
    names: Sequence[str],
    lock: Lock,
    settings: PlatformSettings,
    reporter: Reporter,
    directories: Mapping[str, Path],
) -> None:
    staging = settings.cache_dir.absolute() / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    runs = [
        IvyRun(
            name=name,
            modules=tuple(artifact.module for artifact in lock.sets[name]),
            transitive=False,
            directory=staging / name,
            settings=settings,
        )
        for name in names
    ]
    total = sum(lock.size(name) for name in names)
    try:
        run_ivy(runs, total, reporter)
        for run in runs:
            _verify(run, lock)
        for run in runs:
            prepared = staging / f"{run.name}-prepared"
            _prepare(run, prepared)
            directories[run.name].parent.mkdir(parents=True, exist_ok=True)
            prepared.rename(directories[run.name])
        reporter.download(total, total)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run_once(runs: Sequence[IvyRun], total_bytes: int, reporter: Reporter) -> None:
    processes = [(run, run.process()) for run in runs]
    try:
        for _, process in processes:
            process.start()
        progressed_at, seen = time.monotonic(), -1
        while any(process.poll() is None for _, process in processes):
            done = sum(run.downloaded_bytes() for run in runs)
            if done != seen:
                progressed_at, seen = time.monotonic(), done
                # The last step belongs to the verification.
                reporter.download(min(done, max(total_bytes - 1, 0)), total_bytes)
            for run, process in processes:
                if process.poll():
                    raise run.failure()
            if time.monotonic() - progressed_at > _STALL_SECONDS:
                source = runs[0].settings.maven_repository or "Maven Central"
                raise UnreachableError(
                    f"nothing has come from {source} for {_STALL_SECONDS:.0f} s, {seen / 1e6:.0f} of "
                    f"{total_bytes / 1e6:.0f} MB are there; check the network connection and try again"
                )
            time.sleep(_POLL_SECONDS)
        for run, process in processes:
            if process.poll():
                raise run.failure()
    finally:
        for _, process in processes:
            process.terminate(grace_seconds=1.0)


def _verify(run: IvyRun, lock: Lock) -> None:
    """Compare every file with the lock.

    Raises:
        PlatformError: the first that is absent or another one than expected.
    """
    retrieved: dict[Module, Path] = dict(run.retrieved())
    source = run.settings.maven_repository or "Maven Central"
    for artifact in lock.sets[run.name]:
        path = retrieved.get(artifact.module)
        if path is None:
            raise PlatformError(f"{artifact.module} was not delivered by {source}; try again")
        actual = sha256_of(path)
        if actual != artifact.sha256:
            raise PlatformError(
                f"{artifact.module} from {source} has the wrong checksum: SHA-256 {actual} "
                f"({path.stat().st_size} bytes), expected {artifact.sha256} ({artifact.size} bytes); "
                "the download was damaged or the file replaced, and nothing was kept"
            )


def _prepare(run: IvyRun, target: Path) -> None:
    """Lay a verified set out as it is used: jars side by side, archives unpacked."""
    target.mkdir(parents=True)
    for module, path in run.retrieved():
        if module.type == "tar.gz":
            with tarfile.open(path) as archive:
                # Python before 3.11.4 (Debian 12's) knows no filters; what is unpacked has just been verified.
                safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(target, **safely)  # noqa: S202 - see above
        else:
            path.rename(target / module.file_name)
