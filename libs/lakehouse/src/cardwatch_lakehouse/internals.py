"""Private parts of the library delta-rs (``deltalake``). A test fails if another version has changed them."""

from typing import Any

import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler


def storage_of(table: DeltaTable) -> pafs.FileSystem:
    """A table's directory as a file system, whose paths are those of the log.

    The storage options of an open table are private.
    """
    return pafs.PyFileSystem(DeltaStorageHandler(table.table_uri, table._storage_options))


def overwrite_file(storage: pafs.FileSystem, path: str, content: bytes) -> None:
    """Replace a file as a whole: object stores do so anyway, and on a local disk the library renames a complete file.

    The library's own stream is private. Through Arrow, the library is given metadata that it does not accept.
    """
    store: Any = storage
    sink = store.handler._handler.open_output_stream(path, None)
    sink.write(content)
    sink.close()
