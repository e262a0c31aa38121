"""The private parts of delta-rs that the lakehouse uses are still there, and do what they did."""

from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from cardwatch_lakehouse.internals import overwrite_file, storage_of
from deltalake import DeltaTable, write_deltalake

HINT = (
    f"deltalake {deltalake.__version__} has changed a private part that cardwatch_lakehouse/internals.py uses; "
    "adapt that module, the only one that uses it"
)


@pytest.fixture
def table(tmp_path: Path) -> DeltaTable:
    write_deltalake(str(tmp_path), pa.table({"n": [1]}))
    return DeltaTable(str(tmp_path))


def test_the_storage_of_a_table_has_the_files_of_its_log(table: DeltaTable) -> None:
    assert hasattr(table, "_storage_options"), HINT
    with storage_of(table).open_input_stream("_delta_log/00000000000000000000.json") as source:
        assert b'"add"' in source.read(), HINT


def test_a_file_is_replaced_as_a_whole(table: DeltaTable, tmp_path: Path) -> None:
    storage = storage_of(table)
    assert hasattr(storage.handler, "_handler"), HINT  # type: ignore[attr-defined]
    for content in (b"a long first content", b"second"):
        overwrite_file(storage, "file", content)
        assert (tmp_path / "file").read_bytes() == content, HINT
