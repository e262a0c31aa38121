"""Writes ``artifacts.lock.json``. A maintainer runs it after changing a version in ``artifacts.ROOTS``."""

import re
import shutil
from pathlib import Path
from typing import Final

from cardwatch_platform.artifacts import LOCK_PATH, ROOTS, Artifact, Lock, sha256_of
from cardwatch_platform.download import download_lock, run_ivy
from cardwatch_platform.ivy import IvyRun, pyspark_jars
from cardwatch_platform.reporting import Reporter
from cardwatch_platform.settings import PlatformSettings

# `shims` was a jar of RoaringBitmap before 1.0, which pyspark has; its jcl-over-slf4j replaces commons-logging.
_REPLACED_IN_PYSPARK: Final = frozenset({"shims", "commons-logging"})
# Sets that go on Spark's class path in addition to pyspark's own jars.
_FOR_SPARK: Final = frozenset({"spark", "s3"})


def write_lock(settings: PlatformSettings, reporter: Reporter, path: Path = LOCK_PATH) -> Lock:
    """Resolve every root with its dependencies, download all files, and write names, sizes and checksums.

    Raises:
        PlatformError: something could not be resolved or downloaded.
    """
    cache_dir = settings.cache_dir.absolute()
    cache_dir.mkdir(parents=True, exist_ok=True)
    staging = cache_dir / "staging"
    with download_lock(cache_dir, reporter):
        shutil.rmtree(staging, ignore_errors=True)
        try:
            runs = [
                IvyRun(name=name, modules=tuple(roots), transitive=True, directory=staging / name, settings=settings)
                for name, roots in ROOTS.items()
            ]
            reporter.message("Resolving " + ", ".join(str(root) for roots in ROOTS.values() for root in roots))
            run_ivy(runs, 0, reporter)
            lock = Lock({run.name: _lock_set(run) for run in runs})
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    lock.save(path)
    return lock


def _lock_set(run: IvyRun) -> tuple[Artifact, ...]:
    present = _in_pyspark() | _REPLACED_IN_PYSPARK if run.name in _FOR_SPARK else frozenset()
    return tuple(
        Artifact(module, path.stat().st_size, sha256_of(path))
        for module, path in run.retrieved()
        if module.artifact not in present or module in run.modules
    )


def _in_pyspark() -> frozenset[str]:
    """Artifact names of pyspark's own jars; another version of one must not be on the class path as well."""
    return frozenset(re.sub(r"-\d.*", "", jar.stem) for jar in pyspark_jars().glob("*.jar"))
