"""The files of a table's log, and taking a word out of them.

The log tells the smallest and largest values of each file, and what rows were deleted by: it can name a card. Entries
of the log are written once and never changed, with this one exception: what is taken out of them is said of files that
are no longer part of the table, or only for people to read.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

LOG: Final = "_delta_log"
MASK: Final = "***"
_ENTRY: Final = re.compile(r"\d{20}(?:\.\d{20}\.compacted)?\.json")
_CHECKSUM: Final = re.compile(r"\d{20}\.crc")


@dataclass(slots=True)
class Cleaned:
    """What was done to a log.

    Attributes:
        rewritten: entries without the word now.
        deleted: checkpoints and checksums that named it; there is a newer checkpoint without.
        left: files that still name it.
    """

    rewritten: int = 0
    deleted: int = 0
    left: tuple[str, ...] = ()


def log_paths(files: pafs.FileSystem) -> list[str]:
    """All files of the log, those of checkpoints among them."""
    found = files.get_file_info(pafs.FileSelector(LOG, recursive=True))
    return sorted(entry.path for entry in found if entry.type is pafs.FileType.File)


def take_out(files: pafs.FileSystem, word: str) -> Cleaned:
    """Take a word out of the log of a table; a checkpoint of the current version must not hold it.

    Doing it again does the rest of what was interrupted. Readers see a log that is complete at each moment.
    """
    cleaned, left, needle = Cleaned(), [], word.encode()
    for path in log_paths(files):
        name = path.rsplit("/", 1)[-1]
        if _ENTRY.fullmatch(name):
            content = read(files, path)
            if needle in content:
                # Hadoop's checksum of the file as it was would make the new one unreadable; without, none is checked.
                _delete_if_there(files, f"{path[: -len(name)]}.{name}.crc")
                _write(files, path, "\n".join(without(line, word) for line in content.decode().splitlines()).encode())
                cleaned.rewritten += 1
        elif _CHECKSUM.fullmatch(name):
            if needle in read(files, path):
                _delete_if_there(files, path)
                _delete_if_there(files, f"{path[: -len(name)]}.{name}.crc")
                cleaned.deleted += 1
        elif name.endswith(".parquet") and needle in _decoded(files, path):
            if "/_sidecars/" in path:
                left.append(path)
            else:
                _delete_if_there(files, path)
                _delete_if_there(files, f"{path[: -len(name)]}.{name}.crc")
                cleaned.deleted += 1
    cleaned.left = tuple(left)
    return cleaned


def without(line: str, word: str) -> str:
    """One action of a log entry without a word.

    A smallest or largest value that holds it is left out: a reader then knows nothing of the column in that file and
    looks into it. Everywhere else it becomes MASK.
    """
    return (
        json.dumps(_masked(json.loads(line), word), separators=(",", ":"), ensure_ascii=False) if word in line else line
    )


def _masked(value: Any, word: str) -> Any:
    match value:
        case dict():
            return {
                name: json.dumps(_without_bounds(json.loads(held), word), separators=(",", ":"), ensure_ascii=False)
                if name == "stats" and isinstance(held, str) and word in held
                else _masked(held, word)
                for name, held in value.items()
            }
        case list():
            return [_masked(held, word) for held in value]
        case str():
            return value.replace(word, MASK)
        case _:
            return value


def _without_bounds(stats: dict[str, Any], word: str) -> dict[str, Any]:
    return {
        name: {column: bound for column, bound in held.items() if word not in json.dumps(bound, ensure_ascii=False)}
        if name in ("minValues", "maxValues") and isinstance(held, dict)
        else held
        for name, held in stats.items()
    }


def paths_in(files: pafs.FileSystem) -> set[str]:
    """The data files that the log names, live or not."""
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
                    held = pq.ParquetFile(source)
                    if kind in held.schema_arrow.names:
                        named = held.read([f"{kind}.path"]).flatten().column(0).to_pylist()
                        found |= {one for one in named if one is not None}
    return found


def read(files: pafs.FileSystem, path: str) -> bytes:
    """All of a file."""
    with files.open_input_stream(path) as source:
        content: bytes = source.read()
    return content


def _decoded(files: pafs.FileSystem, path: str) -> bytes:
    """What a Parquet file holds, footer's statistics included, with nothing compressed."""
    with files.open_input_file(path) as source:
        held = pq.read_table(source)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, held.schema) as stream:
        stream.write_table(held)
    return bytes(sink.getvalue()) + read(files, path)


def _write(files: pafs.FileSystem, path: str, content: bytes) -> None:
    # Object stores put it whole; on a file system the library renames a complete file. Of the library's own stream,
    # for Arrow hands it something that it does not take.
    store: Any = files
    sink = store.handler._handler.open_output_stream(path, None)
    sink.write(content)
    sink.close()


def _delete_if_there(files: pafs.FileSystem, path: str) -> None:
    (there,) = files.get_file_info([path])
    if there.type is pafs.FileType.File:
        files.delete_file(path)
