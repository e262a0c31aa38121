"""The parts without Snowflake: next steps, transient errors, changes of a commit, and the encoding of values."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cardwatch_contracts.errors import CardwatchError
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import ALL_TABLES
from cardwatch_snowflake import statements
from cardwatch_snowflake.columns import DELETED, columns_of
from cardwatch_snowflake.delta_log import DataFile, parse_commit
from cardwatch_snowflake.delta_source import DeltaSource, Limits
from cardwatch_snowflake.errors import HistoryGoneError
from cardwatch_snowflake.failures import is_transient
from cardwatch_snowflake.progress import (
    BeginSnapshot,
    ContinueSnapshot,
    Head,
    Increment,
    Progress,
    SnapshotProgress,
    Step,
    UpToDate,
    behind,
    next_step,
)
from deltalake import write_deltalake
from snowflake.connector import errors

HEAD: Final = Head("id-1", 7)
BEGUN: Final = SnapshotProgress("id-1", 5, files=2, rows=20)


@pytest.mark.parametrize(
    ("progress", "step", "versions_behind"),
    [
        (Progress(), BeginSnapshot, 8),
        (Progress("id-1", 7), UpToDate, 0),
        (Progress("id-1", 5), Increment, 2),
        (Progress("id-0", 7), BeginSnapshot, 8),  # another table under the same name
        (Progress("id-1", 9), BeginSnapshot, 8),  # it went back
        (Progress(snapshot=BEGUN), ContinueSnapshot, 8),
        (Progress("id-1", 3, BEGUN), ContinueSnapshot, 4),
        (Progress("id-0", 3, SnapshotProgress("id-0", 5)), BeginSnapshot, 8),
        (Progress(snapshot=SnapshotProgress("id-1", 9)), BeginSnapshot, 8),
    ],
)
def test_next_step(progress: Progress, step: type[Step], versions_behind: int) -> None:
    assert isinstance(next_step(progress, HEAD), step)
    assert behind(progress, HEAD) == versions_behind


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (errors.OperationalError("connection reset", errno=250003), True),
        (errors.OperationalError("could not connect", errno=250001), True),
        (errors.InternalError("incident", errno=370001), True),
        (errors.InterfaceError("broken pipe"), True),
        (errors.ProgrammingError("lock not released", errno=625, sqlstate="57014"), True),
        (errors.ProgrammingError("session expired", errno=390112), True),
        (errors.ProgrammingError("service unavailable", sqlstate="58030"), True),
        (errors.DatabaseError("Failed to login: connection refused", errno=250001, sqlstate="08001"), True),
        (errors.DatabaseError("user is locked", errno=390100), False),
        (errors.DatabaseError("incorrect username or password", errno=250001, sqlstate="08001"), False),
        (errors.OperationalError("JWT token is invalid", errno=390144), False),
        (errors.ProgrammingError("insufficient privileges", errno=3001, sqlstate="42501"), False),
        (errors.ProgrammingError("does not exist", errno=2003, sqlstate="42S02"), False),
        (errors.DataError("numeric value out of range", errno=100038, sqlstate="22018"), False),
    ],
)
def test_which_errors_are_transient(error: errors.Error, transient: bool) -> None:
    assert is_transient(error) is transient


def lines(*actions: dict[str, Any]) -> Sequence[str]:
    return [json.dumps(action) for action in actions]


def file(path: str, *, change: bool = True, **more: Any) -> dict[str, Any]:
    return {"path": path, "partitionValues": {"day": "2026-11-23"}, "dataChange": change, **more}


def test_a_commit_is_the_files_whose_rows_changed() -> None:
    commit = parse_commit(
        3,
        lines(
            {"commitInfo": {"timestamp": 1_795_500_000_000, "operation": "MERGE"}},
            {"txn": {"appId": "gold.alerts", "version": 17}},
            {"add": file("day=2026-11-23/c%2520d.parquet")},
            {"remove": file("day=2026-11-23/a.parquet")},
            {"add": file("day=2026-11-23/compacted.parquet", change=False)},
            {"remove": file("day=2026-11-23/small.parquet", change=False)},
        ),
    )
    day = {"day": "2026-11-23"}
    assert commit.added == [DataFile("day=2026-11-23/c%20d.parquet", day)]
    assert commit.removed == [DataFile("day=2026-11-23/a.parquet", day)]
    assert commit.at == datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "action",
    [
        {"remove": {"path": "a.parquet", "dataChange": True}},  # without extendedFileMetadata
        {"add": file("a.parquet", deletionVector={"storageType": "u"})},
    ],
)
def test_a_commit_without_partition_values_is_refused(action: dict[str, Any]) -> None:
    with pytest.raises(HistoryGoneError, match="version 3 does not say which rows of"):
        parse_commit(3, lines(action))


def test_types() -> None:
    schema = pa.schema(
        {
            "a": pa.string(), "b": pa.int32(), "c": pa.int64(), "d": pa.float64(), "e": pa.bool_(), "f": pa.date32(),
            "g": pa.timestamp("us", "UTC"), "h": pa.timestamp("us"), "i": pa.decimal128(38, 0), "j": pa.binary(),
            "k": pa.list_(pa.string()), "l": pa.struct({"x": pa.int32()}),
        }
    )  # fmt: skip
    assert [column.type for column in columns_of(schema)] == [
        "VARCHAR", "NUMBER(38,0)", "NUMBER(38,0)", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP_NTZ(6)", "TIMESTAMP_NTZ(6)",
        "NUMBER(38,0)", "BINARY", "VARIANT", "VARIANT",
    ]  # fmt: skip
    with pytest.raises(CardwatchError, match="column t has the type time64"):
        columns_of(pa.schema({"t": pa.time64("us")}))


def test_uploaded_values_are_exact(tmp_path: Path) -> None:
    schema = pa.schema(
        {
            "id": pa.string(), "sum": pa.decimal128(38, 0), "at": pa.timestamp("us", "UTC"), "day": pa.date32(),
            "deep": pa.list_(pa.struct({"v": pa.float64(), "n": pa.list_(pa.struct({"w": pa.float64()}))})),
        }
    )  # fmt: skip
    row = {
        "id": "a",
        "sum": Decimal(10**38 - 1),
        "at": datetime(2026, 11, 24, 23, 59, 59, 999_999, UTC),
        "day": date(2026, 11, 24),
        "deep": [{"v": 0.1, "n": [{"w": float("inf")}, None]}, {"v": float("nan"), "n": None}],
    }
    write_deltalake(str(tmp_path / "t"), pa.Table.from_pylist([row], schema))
    source = DeltaSource("gold.t", locate(str(tmp_path / "t")), ("id",), Limits(rows=10))
    chunk = source.chunk(0, 0, tmp_path)
    (sent,) = pq.read_table(chunk.files[0]).to_pylist()
    assert sent == {
        "ID": "a",
        "SUM": Decimal(10**38 - 1),
        "AT": datetime(2026, 11, 24, 23, 59, 59, 999_999),
        "DAY": date(2026, 11, 24),
        "DEEP": '[{"v":0.1,"n":[{"w":null},null]},{"v":null,"n":null}]',
    }
    logical = pq.ParquetFile(chunk.files[0]).schema
    assert "isAdjustedToUTC=false, timeUnit=microseconds" in str(logical.column(2).logical_type)


def test_a_missing_table_has_no_head(tmp_path: Path) -> None:
    assert DeltaSource("gold.t", locate(str(tmp_path / "t")), ("id",), Limits(rows=10)).head() is None


def test_names_do_not_clash_and_files_find_their_way() -> None:
    loadable = [table.name for table in ALL_TABLES if table.key]
    names = [of(name) for of in (statements.target, statements.staged, statements.loading) for name in loadable]
    assert len(set(names)) == len(names)
    assert not {statements.LOADS, statements.STAGE} & set(names)
    assert DELETED.lower() not in {name for table in ALL_TABLES for name in table.columns}
    put = statements.put("/tmp/it's here/rows.parquet", statements.stage_directory("gold.alerts", "0f"))
    assert put == (
        r"PUT 'file:///tmp/it\'s here/rows.parquet' @CARDWATCH_LOADER/alerts/0f "
        "AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
    )


@pytest.mark.parametrize("table", [table for table in ALL_TABLES if table.name.startswith("gold.")])
def test_every_gold_table_has_a_key_of_columns_it_has(table: Any) -> None:
    assert table.key
    assert set(table.key) <= set(table.columns)
