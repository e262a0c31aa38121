"""The data directories of demo runs, ``.cardwatch/demo/<time>/``: the last three are kept."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

KEPT_RUNS: Final = 3

_FORMAT: Final = "%Y%m%d-%H%M%S-%f"


def new_run(base: Path, kept: int = KEPT_RUNS) -> Path:
    """Make a new directory for a run and remove all but the ``kept - 1`` latest earlier ones."""
    base.mkdir(parents=True, exist_ok=True)
    earlier = sorted(path for path in base.iterdir() if path.is_dir() and _is_run(path.name))
    for path in earlier[: max(0, len(earlier) - (kept - 1))]:
        shutil.rmtree(path, ignore_errors=True)
    run = base / datetime.now(UTC).strftime(_FORMAT)
    run.mkdir()
    return run


def _is_run(name: str) -> bool:
    try:
        datetime.strptime(name, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
