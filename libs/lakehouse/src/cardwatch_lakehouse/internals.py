"""The files of a table, live or not, wherever they are."""

import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler


def storage_of(table: DeltaTable) -> pafs.FileSystem:
    """A table's directory as a file system; paths in it are those of the log."""
    return pafs.PyFileSystem(DeltaStorageHandler(table.table_uri, table._storage_options))
