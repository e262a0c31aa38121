"""Spark's logs of a streaming query in its checkpoint: what it has read, and what of that is committed.

``offsets/N`` is written before micro-batch N and ``commits/N`` after it. Each is a version and lines of JSON: in
``offsets`` the micro-batch's metadata and the end offsets of each source, in ``commits`` the watermark of the next
micro-batch. ``tests/integration/test_rebuild_state.py`` does this with what the pinned Spark writes and reads.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError

from cardwatch_detector.runtime.spark_offsets import Offsets, parse_offsets
from cardwatch_detector.velocity.state.files import Files

# The version of a log's format; that of ``commits`` is the version of the state's files.
_VERSIONS: Final = {"offsets": ("v1",), "commits": ("v1", "v2")}
_OFFSETS, _COMMITS = "offsets", "commits"
_BATCH_WATERMARK: Final = "batchWatermarkMs"
_NEXT_WATERMARK: Final = "nextBatchWatermarkMs"


class DamagedCheckpointError(CardwatchError):
    """A checkpoint does not have what Spark has written to it."""


@dataclass(frozen=True)
class Position:
    """Up to where a query has read and committed.

    Attributes:
        offsets: of the next message of each partition.
        watermark_ms: of the next micro-batch, milliseconds since 1970-01-01 UTC.
    """

    offsets: Offsets
    watermark_ms: int


class CheckpointLogs:
    """The logs of one checkpoint."""

    def __init__(self, files: Files, checkpoint: str) -> None:
        self._files: Final = files
        self._checkpoint: Final = checkpoint

    @property
    def has_begun(self) -> bool:
        """Whether Spark has written anything."""
        return bool({"metadata", _OFFSETS, _COMMITS, "state"} & set(self._files.names(self._checkpoint)))

    def position(self) -> Position | None:
        """Up to where the query has committed; None if it has committed nothing.

        Raises:
            CardwatchError: the logs are damaged.
        """
        committed = self._batches(_COMMITS)
        if not committed:
            return None
        _, sources = self._offset_entry(committed[-1])
        offsets: Offsets = {}
        for source in sources:
            offsets |= parse_offsets(source)
        return Position(offsets, int(self._commit(committed[-1])[_NEXT_WATERMARK]))

    def require_complete(self) -> None:
        """Check that nothing is missing of what can be seen without reading the state itself.

        Raises:
            CardwatchError: something is.
        """
        names = self._files.names(self._checkpoint)
        offsets, commits = self._batches(_OFFSETS), self._batches(_COMMITS)
        if not offsets and not commits:
            return  # it has begun at most, and has processed nothing
        for name in ("metadata", "state"):
            if name not in names and commits:
                raise DamagedCheckpointError(f"{self._checkpoint} is damaged: there is no {name}")
        last = commits[-1] if commits else -1
        if not offsets or offsets[-1] not in (last, last + 1) or (commits and last not in offsets):
            begun = offsets[-1] if offsets else "none"
            raise DamagedCheckpointError(
                f"{self._checkpoint} is damaged: the last micro-batch in commits is {last if commits else 'none'}, the "
                f"last one in offsets {begun}; expected the same or the next one"
            )
        self.position()

    def move(self, to: Position) -> None:
        """Have the query go on at another position than that of its last committed micro-batch.

        A kill in between leaves it to be repeated: each file is replaced as a whole.

        Raises:
            CardwatchError: nothing is committed, or the logs are damaged.
        """
        committed = self._batches(_COMMITS)
        if not committed:
            raise DamagedCheckpointError(f"{self._checkpoint} has no committed micro-batch")
        metadata, sources = self._offset_entry(committed[-1])
        if len(sources) != 1:
            raise DamagedCheckpointError(f"{self._checkpoint} has {len(sources)} sources, expected one")
        commit = self._commit(committed[-1])
        metadata[_BATCH_WATERMARK] = commit[_NEXT_WATERMARK] = to.watermark_ms
        lines = [metadata, {topic: dict(sorted(of.items())) for topic, of in sorted(to.offsets.items())}]
        self._write(_OFFSETS, committed[-1], lines)
        self._write(_COMMITS, committed[-1], [commit])

    def _batches(self, log: str) -> list[int]:
        return sorted(int(name) for name in self._files.names(f"{self._checkpoint}/{log}") if name.isdigit())

    def _offset_entry(self, batch: int) -> tuple[dict[str, Any], list[str]]:
        metadata, *sources = self._lines(_OFFSETS, batch)
        return self._object(_OFFSETS, batch, metadata), sources

    def _commit(self, batch: int) -> dict[str, Any]:
        found = self._object(_COMMITS, batch, self._lines(_COMMITS, batch)[0])
        if not isinstance(found.get(_NEXT_WATERMARK), int):
            raise DamagedCheckpointError(f"{self._path(_COMMITS, batch)} is damaged: it has no {_NEXT_WATERMARK}")
        return found

    def _lines(self, log: str, batch: int) -> list[str]:
        path = self._path(log, batch)
        text = self._files.read(path)
        version, *lines = (text or "").splitlines() or [""]
        if version not in _VERSIONS[log] or not lines:
            raise DamagedCheckpointError(
                f"{path} is damaged: expected {' or '.join(_VERSIONS[log])} and lines of JSON, got {version[:20]!r}"
            )
        return lines

    def _object(self, log: str, batch: int, line: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DamagedCheckpointError(f"{self._path(log, batch)} is damaged: expected JSON, got {line[:80]!r}")
        return found

    def _write(self, log: str, batch: int, lines: list[dict[str, Any]]) -> None:
        version = (self._files.read(self._path(log, batch)) or "").partition("\n")[0]
        text = "\n".join([version, *(json.dumps(line, separators=(",", ":")) for line in lines)])
        self._files.write(self._path(log, batch), text)

    def _path(self, log: str, batch: int) -> str:
        return f"{self._checkpoint}/{log}/{batch}"
