"""Gold tables in Delta, the fake Snowflake, and a loader between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from cardwatch_lakehouse.tables import Table
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from cardwatch_snowflake.bootstrap import make_service
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.service import LoaderService
from cardwatch_snowflake.settings import LoaderSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse
from deltalake import DeltaTable, write_deltalake

from support.delta_tables import arrow_schema
from support.fake_snowflake import FakeSnowflake, KilledError, sort_rows


class Lake:
    """Delta tables under a directory, written by delta-rs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, table: Table) -> str:
        return table.path(str(self.directory))

    def delta(self, table: Table) -> DeltaTable:
        return DeltaTable(self.path(table))

    def write(self, table: Table, rows: Sequence[dict[str, Any]], **options: Any) -> None:
        """Create a table or append to it."""
        write_deltalake(
            self.path(table),
            pa.Table.from_pylist(list(rows), arrow_schema(table)),
            partition_by=list(table.partitioned_by) or None,
            mode="append",
            **options,
        )

    def merge(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Upsert by key, as the alerts' query does."""
        same = " AND ".join(f"t.{name} = s.{name}" for name in table.key)
        merger = self.delta(table).merge(
            pa.Table.from_pylist(list(rows), arrow_schema(table)), same, source_alias="s", target_alias="t"
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    def replace(self, table: Table, rows: Sequence[dict[str, Any]], predicate: str) -> None:
        """Overwrite a part, as the profiles' query does with whole days."""
        data = pa.Table.from_pylist(list(rows), arrow_schema(table))
        write_deltalake(self.path(table), data, mode="overwrite", predicate=predicate)

    def vacuum(self, table: Table) -> None:
        """Remove every file that the newest version does not need."""
        self.delta(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def rows(self, table: Table, version: int | None = None) -> list[dict[str, Any]]:
        """The rows of a table in Snowflake's form: upper-case names, times without a zone."""
        return sort_rows(
            {
                name.upper(): value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value
                for name, value in row.items()
            }
            for row in DeltaTable(self.path(table), version=version).to_pyarrow_table().to_pylist()
        )


@dataclass
class Replication:
    """A lake, an account, and a loader between them."""

    lake: Lake
    account: FakeSnowflake
    tables: Sequence[Table]
    work_dir: Path
    chunk_rows: int = 500_000
    metrics: Metrics = field(default_factory=Metrics)
    shutdown: Shutdown = field(default_factory=Shutdown)
    seconds: float = 0.0

    def service(self) -> tuple[LoaderService, SnowflakeWarehouse]:
        """A loader in its state after the start of a process."""
        own = LoaderSettings(tables_dir=str(self.lake.directory), chunk_rows=self.chunk_rows, work_dir=self.work_dir)
        warehouse = SnowflakeWarehouse(self.account.connect)
        warehouse.open()
        self.metrics = Metrics()
        service = make_service(
            self.tables,
            warehouse,
            own,
            LoaderMetrics(self.metrics),
            self.shutdown,
            clock=lambda: self.seconds,
            max_first_pause_seconds=0.0,
        )
        return service, warehouse

    def catch_up(self) -> None:
        """Start a loader, let it load what there is, and stop it."""
        service, warehouse = self.service()
        try:
            service.catch_up()
        finally:
            warehouse.disconnect()

    def killed_before(self, statement: int) -> bool:
        """Start a loader that is killed before its n-th statement; returns whether it came that far."""
        seen = 0

        def kill(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == statement:
                raise KilledError

        self.account.before = kill
        try:
            self.catch_up()
        except KilledError:
            return True
        finally:
            self.account.before = lambda _: None
        return False

    def check_equal(self) -> None:
        """Check that every target has exactly the rows of its Delta table, and that the progress is recorded."""
        for table in self.tables:
            assert self.account.rows(table) == self.lake.rows(table), table.name
            recorded = self.account.recorded(table)
            delta = self.lake.delta(table)
            assert recorded["DELTA_TABLE_ID"] == str(delta.metadata().id)
            assert recorded["DELTA_VERSION"] == delta.version()
            assert recorded["SNAPSHOT_TABLE_ID"] is None
