"""Scheduled maintenance: its metrics, a broken table, and a stop."""

import time
from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_detector.lakehouse.maintenance.maintenance import TableMaintenance
from cardwatch_detector.lakehouse.maintenance.metrics import LIVE_FILES, MaintenanceMetrics
from cardwatch_detector.lakehouse.maintenance.thread import MaintenanceThread, maintenance_thread
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.settings import OFF
from cardwatch_lakehouse.tables import BRONZE_LATE, SILVER_TRANSACTIONS
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from support.delta_tables import CARD, bronze_row, silver_row, write_rows

LATE = {"table": "bronze.late"}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    for number in range(20):
        write_rows(tmp_path, BRONZE_LATE, bronze_row(number, b"late"))
    write_rows(tmp_path, SILVER_TRANSACTIONS, silver_row(1, CARD))
    return tmp_path


def maintenance(lake: Path, metrics: Metrics, shutdown: Shutdown, **settings: str) -> TableMaintenance:
    return TableMaintenance.of(
        LakehouseSettings(tables_dir=str(lake), **settings), MaintenanceMetrics(metrics), shutdown
    )


def test_files_are_joined_and_counted(lake: Path) -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    one = maintenance(lake, metrics, Shutdown())
    one.measure()
    assert value(LIVE_FILES, LATE) == 20
    assert value("cardwatch_lakehouse_small_files", LATE) == 20
    assert not value("cardwatch_lakehouse_upkeep_timestamp_seconds")
    one.run()
    assert value(LIVE_FILES, LATE) == 1
    assert value("cardwatch_lakehouse_upkeep_partitions_total", {**LATE, "action": "join"}) == 1
    assert abs(time.time() - (value("cardwatch_lakehouse_upkeep_timestamp_seconds") or 0)) < 60
    assert len(list((lake / "bronze/late").glob("*.parquet"))) == 21, "versions of the last days stay readable"


def test_rows_stay_unless_an_age_is_set(lake: Path) -> None:
    metrics = Metrics()
    maintenance(lake, metrics, Shutdown()).run()
    assert maintenance(lake, Metrics(), Shutdown()).catalog.open("silver.transactions").count() == 1
    maintenance(lake, Metrics(), Shutdown(), retention_silver="30d").run()
    assert maintenance(lake, Metrics(), Shutdown()).catalog.open("silver.transactions").count() == 0
    assert maintenance(lake, Metrics(), Shutdown()).catalog.open("bronze.late").count() == 20


def test_a_broken_table_is_counted_and_does_not_stop_the_others(lake: Path) -> None:
    next((lake / "bronze/late/_delta_log").glob("*3.json")).write_text("{")
    metrics = Metrics()
    maintenance(lake, metrics, Shutdown(), retention_silver="30d").run()
    assert metrics.registry.get_sample_value("cardwatch_lakehouse_upkeep_failures_total", LATE) == 1
    assert maintenance(lake, Metrics(), Shutdown()).catalog.open("silver.transactions").count() == 0


def test_the_thread_repeats_maintenance_and_ends_with_the_process(lake: Path) -> None:
    metrics, shutdown = Metrics(), Shutdown()
    thread = MaintenanceThread(maintenance(lake, metrics, shutdown, upkeep_every="1s"), shutdown)
    thread.start()
    deadline = time.monotonic() + 30
    while metrics.registry.get_sample_value(LIVE_FILES, LATE) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shutdown.request()
    thread.stop()
    assert not thread._thread.is_alive()


def test_off_only_measures_files(lake: Path) -> None:
    assert maintenance(lake, Metrics(), Shutdown(), upkeep_every=OFF).every_seconds == float("inf")


def test_tables_that_only_spark_can_read_are_not_maintained() -> None:
    assert maintenance_thread(LakehouseSettings(tables_dir="hdfs://lake/tables"), Metrics(), Shutdown()) is None


def test_settings_are_durations_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_LAKEHOUSE_UPKEEP_EVERY", "sometimes")
    with pytest.raises(ConfigurationError, match="sometimes"):
        load_settings(LakehouseSettings)
