"""Removes a card's token from the log of a table.

The log has the smallest and largest values of each file and the predicates of deletions, so it can contain a token.
Entries of a log are never changed, with this one exception: what is removed describes files that are no longer part of
the table, or is information for people only.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from cardwatch_lakehouse.internals import overwrite_file

LOG_DIR: Final = "_delta_log"
MASK: Final = "***"
_ENTRY: Final = re.compile(r"\d{20}(?:\.\d{20}\.compacted)?\.json")
_CHECKPOINT: Final = re.compile(r"\d{20}\.checkpoint\b.*\.parquet$")
_CHECKSUM: Final = re.compile(r"\d{20}\.crc")


@dataclass(slots=True)
class RedactedLog:
    """What was changed in a log.

    Attributes:
        rewritten: number of entries from which the token was removed.
        deleted: number of deleted checkpoints and checksums with the token; there is a newer checkpoint without it.
        left: files that still contain the token, such as the newest checkpoint if a row that is kept contains it.
    """

    rewritten: int = 0
    deleted: int = 0
    left: tuple[str, ...] = ()


def log_paths(files: pafs.FileSystem) -> list[str]:
    """The paths of all files of the log, checkpoints included."""
    found = files.get_file_info(pafs.FileSelector(LOG_DIR, recursive=True))
    return sorted(entry.path for entry in found if entry.type is pafs.FileType.File)


def redact_log(files: pafs.FileSystem, token: str) -> RedactedLog:
    """Remove a token from the log of a table, whose current version has a checkpoint.

    If it is interrupted, it can be run again. The log is complete for readers at any time.
    """
    redacted, left, needle, paths = RedactedLog(), [], token.encode(), log_paths(files)
    newest = max((name for path in paths if _CHECKPOINT.match(name := path.rsplit("/", 1)[-1])), default="")[:20]
    for path in paths:
        name = path.rsplit("/", 1)[-1]
        if _ENTRY.fullmatch(name):
            content = read(files, path)
            if needle in content:
                # Hadoop's checksum of the old file would make the new one unreadable; without one, it is not checked.
                _delete_if_exists(files, f"{path[: -len(name)]}.{name}.crc")
                lines = [redact_action(line, token) for line in content.decode().splitlines()]
                overwrite_file(files, path, "\n".join(lines).encode())
                redacted.rewritten += 1
        elif _CHECKSUM.fullmatch(name):
            if needle in read(files, path):
                _delete_if_exists(files, path)
                _delete_if_exists(files, f"{path[: -len(name)]}.{name}.crc")
                redacted.deleted += 1
        elif name.endswith(".parquet") and needle in _decoded(files, path):
            # Without the newest checkpoint the table cannot be read. It has the token if a row that is kept has it.
            if "/_sidecars/" in path or name.startswith(newest):
                left.append(path)
            else:
                _delete_if_exists(files, path)
                _delete_if_exists(files, f"{path[: -len(name)]}.{name}.crc")
                redacted.deleted += 1
    redacted.left = tuple(left)
    return redacted


def redact_action(line: str, token: str) -> str:
    """One action of a log entry without a token.

    A smallest or largest value with the token is left out, so that readers must open the file to know its values.
    Everywhere else the token is replaced by MASK.
    """
    return (
        json.dumps(_masked(json.loads(line), token), separators=(",", ":"), ensure_ascii=False)
        if token in line
        else line
    )


def _masked(value: Any, token: str) -> Any:
    match value:
        case dict():
            return {
                name: json.dumps(_without_bounds(json.loads(inner), token), separators=(",", ":"), ensure_ascii=False)
                if name == "stats" and isinstance(inner, str) and token in inner
                else _masked(inner, token)
                for name, inner in value.items()
            }
        case list():
            return [_masked(inner, token) for inner in value]
        case str():
            return value.replace(token, MASK)
        case _:
            return value


def _without_bounds(stats: dict[str, Any], token: str) -> dict[str, Any]:
    return {
        name: {column: bound for column, bound in bounds.items() if token not in json.dumps(bound, ensure_ascii=False)}
        if name in ("minValues", "maxValues") and isinstance(bounds, dict)
        else bounds
        for name, bounds in stats.items()
    }


def named_data_files(files: pafs.FileSystem) -> set[str]:
    """The paths of the data files that the log names, live or not."""
    found: set[str] = set()
    for path in log_paths(files):
        name = path.rsplit("/", 1)[-1]
        if _ENTRY.fullmatch(name):
            for line in read(files, path).decode().splitlines():
                action = json.loads(line)
                found |= {action[kind]["path"] for kind in ("add", "remove") if kind in action}
        elif name.endswith(".parquet"):
            with files.open_input_file(path) as source:
                for kind in ("add", "remove"):
                    checkpoint = pq.ParquetFile(source)
                    if kind in checkpoint.schema_arrow.names:
                        named = checkpoint.read([f"{kind}.path"]).flatten().column(0).to_pylist()
                        found |= {one for one in named if one is not None}
    return found


def read(files: pafs.FileSystem, path: str) -> bytes:
    """The content of a file."""
    with files.open_input_stream(path) as source:
        content: bytes = source.read()
    return content


def _decoded(files: pafs.FileSystem, path: str) -> bytes:
    """The content of a Parquet file uncompressed, with the statistics of its footer."""
    with files.open_input_file(path) as source:
        table = pq.read_table(source)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue()) + read(files, path)


def _delete_if_exists(files: pafs.FileSystem, path: str) -> None:
    (entry,) = files.get_file_info([path])
    if entry.type is pafs.FileType.File:
        files.delete_file(path)
