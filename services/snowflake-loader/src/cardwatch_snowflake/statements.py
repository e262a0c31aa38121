"""Every statement that the loader sends to Snowflake. No I/O.

Names are not qualified: the session's database and schema are those of the settings. ``?`` stands for a bound value.
"""
# ruff: noqa: S608 - names are those of the tables' definitions, and quoted; values are bound

from collections.abc import Sequence
from typing import Final

from cardwatch_snowflake.columns import DELETED, Column, quoted

LOADS: Final = "CARDWATCH_LOADS"
STAGE: Final = "CARDWATCH_LOADER"

BEGIN: Final = "BEGIN TRANSACTION"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

CREATE_STAGE: Final = f"CREATE STAGE IF NOT EXISTS {STAGE} COMMENT = 'Files on their way into a table; empty at rest'"
CREATE_LOADS: Final = f"""CREATE TABLE IF NOT EXISTS {LOADS} (
    TABLE_NAME VARCHAR NOT NULL PRIMARY KEY,
    DELTA_TABLE_ID VARCHAR,
    DELTA_VERSION NUMBER(38,0),
    DELTA_COMMITTED_AT TIMESTAMP_NTZ(6),
    ROWS_UPSERTED NUMBER(38,0),
    ROWS_DELETED NUMBER(38,0),
    LOADED_AT TIMESTAMP_NTZ(6),
    SNAPSHOT_TABLE_ID VARCHAR,
    SNAPSHOT_VERSION NUMBER(38,0),
    SNAPSHOT_FILES NUMBER(38,0),
    SNAPSHOT_ROWS NUMBER(38,0)
) COMMENT = 'How far each table has been loaded from Delta'"""

# bound: table
ENTER_TABLE: Final = f"""MERGE INTO {LOADS} t USING (SELECT ? AS TABLE_NAME) s ON t.TABLE_NAME = s.TABLE_NAME
WHEN NOT MATCHED THEN INSERT (TABLE_NAME) VALUES (s.TABLE_NAME)"""
# bound: table
READ_PROGRESS: Final = f"""SELECT DELTA_TABLE_ID, DELTA_VERSION, SNAPSHOT_TABLE_ID, SNAPSHOT_VERSION, SNAPSHOT_FILES,
    SNAPSHOT_ROWS FROM {LOADS} WHERE TABLE_NAME = ?"""
READ_LOADS: Final = f"""SELECT TABLE_NAME, DELTA_VERSION, DELTA_COMMITTED_AT, ROWS_UPSERTED, ROWS_DELETED, LOADED_AT,
    SNAPSHOT_VERSION, SNAPSHOT_FILES, SNAPSHOT_ROWS FROM {LOADS} ORDER BY TABLE_NAME"""
# bound: table
FORGET_PROGRESS: Final = f"""UPDATE {LOADS} SET DELTA_TABLE_ID = NULL, DELTA_VERSION = NULL, SNAPSHOT_TABLE_ID = NULL,
    SNAPSHOT_VERSION = NULL, SNAPSHOT_FILES = NULL, SNAPSHOT_ROWS = NULL WHERE TABLE_NAME = ?"""
# bound: table
COLUMN_NAMES: Final = """SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_SCHEMA = CURRENT_SCHEMA() AND TABLE_NAME = ?"""

# Progress changes only from what this process expects it to be: a second loader, or a reload, is noticed.
_IF_UNCHANGED: Final = """WHERE TABLE_NAME = ? AND DELTA_TABLE_ID IS NOT DISTINCT FROM ?
    AND DELTA_VERSION IS NOT DISTINCT FROM ? AND SNAPSHOT_TABLE_ID IS NOT DISTINCT FROM ?
    AND SNAPSHOT_VERSION IS NOT DISTINCT FROM ? AND SNAPSHOT_FILES IS NOT DISTINCT FROM ?"""
# bound: snapshot's table id, version, files and rows; then the expected progress
RECORD_SNAPSHOT: Final = f"""UPDATE {LOADS} SET SNAPSHOT_TABLE_ID = ?, SNAPSHOT_VERSION = ?, SNAPSHOT_FILES = ?,
    SNAPSHOT_ROWS = ? {_IF_UNCHANGED}"""
# bound: table id, version, its time, rows upserted, rows deleted; then the expected progress
RECORD_LOADED: Final = f"""UPDATE {LOADS} SET DELTA_TABLE_ID = ?, DELTA_VERSION = ?,
    DELTA_COMMITTED_AT = TO_TIMESTAMP_NTZ(?), ROWS_UPSERTED = ?, ROWS_DELETED = ?, LOADED_AT = SYSDATE(),
    SNAPSHOT_TABLE_ID = NULL, SNAPSHOT_VERSION = NULL, SNAPSHOT_FILES = NULL, SNAPSHOT_ROWS = NULL {_IF_UNCHANGED}"""


def target(table: str) -> str:
    """The name of a table in Snowflake: ``gold.alerts`` is ``ALERTS``."""
    return table.split(".")[-1].upper()


def staged(table: str) -> str:
    """Where an increment's rows wait for the MERGE; empty at rest."""
    return f"{target(table)}__STAGED"


def loading(table: str) -> str:
    """Where a snapshot is gathered; gone once it is complete."""
    return f"{target(table)}__LOADING"


def create_target(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """The target table. Snowflake does not enforce the primary key; readers and planners use it."""
    defined = ", ".join(f"{column.target} {column.type}" for column in columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(target(table))} ({defined}, PRIMARY KEY ({_names(key)})) "
        f"COMMENT = 'Delta table {table}, kept by cardwatch-snowflake-loader; times are UTC'"
    )


def create_staged(table: str, columns: Sequence[Column]) -> str:
    """The table that an increment's files are copied into."""
    return (
        f"CREATE TRANSIENT TABLE IF NOT EXISTS {quoted(staged(table))} "
        f"({_staged_columns(columns)}, {quoted(DELETED)} BOOLEAN)"
    )


def create_loading(table: str, columns: Sequence[Column]) -> str:
    """The table that a snapshot is gathered in, empty."""
    return f"CREATE OR REPLACE TRANSIENT TABLE {quoted(loading(table))} ({_staged_columns(columns)})"


def drop_loading(table: str) -> str:
    """Drop a snapshot's rows."""
    return f"DROP TABLE IF EXISTS {quoted(loading(table))}"


def add_columns(name: str, columns: Sequence[Column], *, in_staging: bool) -> str:
    """Columns that the Delta table has and a Snowflake table has not."""
    defined = ", ".join(f"{column.target} {column.staged_type if in_staging else column.type}" for column in columns)
    return f"ALTER TABLE {quoted(name)} ADD COLUMN {defined}"


def stage_directory(table: str, load_id: str) -> str:
    """Where in the stage the files of one load are; each load has its own, so that COPY never skips a file as already
    loaded.
    """
    return f"@{STAGE}/{target(table).lower()}/{load_id}"


def put(path: str, directory: str) -> str:
    """Upload one local file (absolute path) into the stage."""
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"PUT 'file://{escaped}' {directory} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"


def remove(directory: str) -> str:
    """Take files out of the stage."""
    return f"REMOVE {directory}/"


def copy_into(name: str, directory: str) -> str:
    """Copy staged files into a table, column by column name."""
    return (
        f"COPY INTO {quoted(name)} FROM {directory}/ "
        "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
    )


def count(name: str) -> str:
    """How many rows a table has."""
    return f"SELECT COUNT(*) FROM {quoted(name)}"


def delete_all(name: str) -> str:
    """Empty a table within the transaction (TRUNCATE would end it)."""
    return f"DELETE FROM {quoted(name)}"


def merge(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Apply the staged rows to the target: delete, update or insert, by primary key."""
    deleted = quoted(DELETED)
    source = ", ".join(
        column.target if column.from_staged == column.target else f"{column.from_staged} AS {column.target}"
        for column in columns
    )
    same = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in key)
    others = [column.target for column in columns if column.name not in key]
    update = ", ".join(f"t.{name} = s.{name}" for name in others)
    names = ", ".join(column.target for column in columns)
    values = ", ".join(f"s.{column.target}" for column in columns)
    return "\n".join(
        [
            f"MERGE INTO {quoted(target(table))} t",
            f"USING (SELECT {source}, {deleted} FROM {quoted(staged(table))}) s ON {same}",
            f"WHEN MATCHED AND s.{deleted} THEN DELETE",
            *([f"WHEN MATCHED THEN UPDATE SET {update}"] if others else []),
            f"WHEN NOT MATCHED AND NOT s.{deleted} THEN INSERT ({names}) VALUES ({values})",
        ]
    )


def insert_loaded(table: str, columns: Sequence[Column]) -> str:
    """Put a complete snapshot into the target, which was emptied before in the same transaction."""
    names = ", ".join(column.target for column in columns)
    values = ", ".join(column.from_staged for column in columns)
    return f"INSERT INTO {quoted(target(table))} ({names}) SELECT {values} FROM {quoted(loading(table))}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _staged_columns(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.target} {column.staged_type}" for column in columns)
