"""Download the artifacts of the lock file into the cache directory: all of a set, verified, or nothing.

<cache>/sets/<set>-<digest>/     complete and verified, or absent: it appears by one rename
<cache>/staging/                 a download in progress; a later one starts by deleting it
<cache>/download.lock            locked while downloading
"""

import shutil
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
_LOCK_TIMEOUT_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """When a download is given up.

    Args:
        attempts: how often it is tried when the network fails.
        stall_seconds: how long nothing may arrive.
    """

    attempts: int = 3
    stall_seconds: float = 60.0


_LIMITS: Final = DownloadLimits()


def ensure_artifacts(
    lock: Lock,
    settings: PlatformSettings,
    reporter: Reporter,
    *,
    names: Collection[str] | None = None,
    limits: DownloadLimits = _LIMITS,
) -> Mapping[str, Path]:
    """The directory of each set, downloaded now if it is not in the cache yet.

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
        with download_lock(cache_dir, reporter):
            # Another process may have downloaded them while this one waited for the lock.
            if missing := _absent(directories):
                with _staging(cache_dir) as staging:
                    _download(missing, lock, staging=staging, settings=settings, reporter=reporter, limits=limits)
    except OSError as error:
        raise PlatformError(
            f"the cache directory {cache_dir} cannot be written ({error.strerror or error}); "
            "CARDWATCH_CACHE_DIR names another one"
        ) from error
    return directories


@contextmanager
def download_lock(cache_dir: Path, reporter: Reporter) -> Iterator[None]:
    """Lock the cache against other downloads; the system unlocks it however this process ends.

    Raises:
        PlatformError: another process keeps it locked for too long.
    """
    lock = FileLock(cache_dir / "download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.message("Another cardwatch is downloading; waiting for it.")
        try:
            lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS)
        except Timeout as error:
            raise PlatformError(
                f"another cardwatch has been downloading into {cache_dir} for {_LOCK_TIMEOUT_SECONDS / 60:.0f} "
                "minutes; stop it and try again"
            ) from error
    try:
        yield
    finally:
        lock.release()


def run_ivy(runs: Sequence[IvyRun], total_bytes: int, reporter: Reporter, limits: DownloadLimits = _LIMITS) -> None:
    """Run them in parallel, report how many bytes have arrived, and retry when the network fails.

    Raises:
        PlatformError: one of them failed, or failed in every attempt.
    """
    Retrying(
        stop=stop_after_attempt(limits.attempts),
        wait=wait_exponential(multiplier=0.5, max=5.0),
        retry=retry_if_exception_type(UnreachableError),
        reraise=True,
    )(
        _run_once, runs, total_bytes, reporter, limits
    )  # files that were complete in an earlier attempt are in Ivy's cache


@contextmanager
def _staging(cache_dir: Path) -> Iterator[Path]:
    """An empty directory for a download, removed in the end."""
    staging = cache_dir / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _absent(directories: Mapping[str, Path]) -> dict[str, Path]:
    return {name: directory for name, directory in directories.items() if not directory.is_dir()}


def _download(
    directories: Mapping[str, Path],
    lock: Lock,
    *,
    staging: Path,
    settings: PlatformSettings,
    reporter: Reporter,
    limits: DownloadLimits,
) -> None:
    """Download, verify and prepare sets in ``staging``, then move each to its directory."""
    runs = [
        IvyRun(
            name=name,
            modules=tuple(artifact.module for artifact in lock.sets[name]),
            transitive=False,
            directory=staging / name,
            settings=settings,
        )
        for name in directories
    ]
    total_bytes = sum(lock.size(name) for name in directories)
    run_ivy(runs, total_bytes, reporter, limits)
    for run in runs:
        _verify(run, lock)
    for run in runs:
        prepared = staging / f"{run.name}-prepared"
        _prepare(run, prepared)
        directories[run.name].parent.mkdir(parents=True, exist_ok=True)
        prepared.rename(directories[run.name])
    reporter.download(total_bytes, total_bytes)


def _run_once(runs: Sequence[IvyRun], total_bytes: int, reporter: Reporter, limits: DownloadLimits) -> None:
    processes = [(run, run.process()) for run in runs]
    try:
        for _, process in processes:
            process.start()
        progressed_at, seen = time.monotonic(), -1
        while any(process.poll() is None for _, process in processes):
            done = sum(run.downloaded_bytes() for run in runs)
            if done != seen:
                progressed_at, seen = time.monotonic(), done
                # The last bytes are reported only after everything has been verified.
                reporter.download(min(done, max(total_bytes - 1, 0)), total_bytes)
            for run, process in processes:
                if process.poll():
                    raise run.failure()
            if time.monotonic() - progressed_at > limits.stall_seconds:
                raise UnreachableError(
                    f"{runs[0].source} has sent nothing for {limits.stall_seconds:.0f} s, {seen / 1e6:.0f} of "
                    f"{total_bytes / 1e6:.0f} MB are downloaded; check the network connection and try again"
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
        PlatformError: names the first file that is absent or whose checksum is wrong.
    """
    retrieved: dict[Module, Path] = dict(run.retrieved())
    for artifact in lock.sets[run.name]:
        path = retrieved.get(artifact.module)
        if path is None:
            raise PlatformError(f"{artifact.module} is missing in the download from {run.source}; try again")
        actual = sha256_of(path)
        if actual != artifact.sha256:
            raise PlatformError(
                f"{artifact.module} from {run.source} has the wrong checksum: SHA-256 {actual} "
                f"({path.stat().st_size} bytes), expected {artifact.sha256} ({artifact.size} bytes); "
                "the download was damaged or the file replaced, and nothing was kept"
            )


def _prepare(run: IvyRun, target: Path) -> None:
    """Put the files of a verified set into one directory: jars as they are, archives unpacked."""
    target.mkdir(parents=True)
    for module, path in run.retrieved():
        if module.type == "tar.gz":
            with tarfile.open(path) as archive:
                # Python before 3.11.4 (Debian 12's) has no filters; the archive has just been verified.
                options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(target, **options)  # noqa: S202 - see above
        else:
            path.rename(target / module.file_name)
