"""``cardwatch demo`` as a person runs it: a process, its exit code, its report, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.file_modes import open_files
from support.spark_settings import QUICK, WITHOUT_SLOW_TABLES

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

REPOSITORY = Path(__file__).parents[2]
KEYS = {
    "produced", "silver", "dead_letters", "alerts_raised", "alerts_by_rule", "delivered", "latency_ms", "precision",
    "recall", "delta_rows", "oracle",
}  # fmt: skip


def demo(tmp_path: Path, *arguments: str, warm_up: bool = False, **options: Any) -> "subprocess.Popen[str]":
    command = Path(sys.executable).parent / "cardwatch"
    rules = REPOSITORY / "config/rules/demo.yaml"
    settings = {**QUICK, **WITHOUT_SLOW_TABLES, "CARDWATCH_DETECTOR_WARM_UP": str(warm_up).lower()}
    return subprocess.Popen(
        [str(command), "demo", "--rules", str(rules), *arguments],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o022,
        **options,
    )


@pytest.mark.timeout(400)
def test_the_demo_raises_and_delivers_exactly_what_the_transactions_call_for(tmp_path: Path) -> None:
    arguments = ("--duration", "10s", "--rate", "200", "--seed", "3", "--report", "report.json")
    process = demo(tmp_path, *arguments, warm_up=True)
    output, _ = process.communicate(timeout=380)
    assert process.returncode == 0, output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report.keys() >= KEYS
    assert report["oracle"]["expected"] > 0
    assert (report["oracle"]["missing"], report["oracle"]["extra"]) == (0, 0)
    assert report["delivered"] == report["alerts_raised"] > 0
    assert report["dead_letters"] == sum(report["refusals_expected"].values()) > 0
    assert report["produced"] == report["silver"] + report["dead_letters"] > 1_500
    # Bronze has every message unchanged, silver and gold have each transaction and alert once.
    rows = report["delta_rows"]
    assert rows["bronze.transactions"] == report["produced"]
    assert rows["silver.transactions"] == report["transactions"]
    # Suppressed alerts have a row too; an alert whose status a late transaction has changed has one row.
    assert report["oracle"]["expected"] <= rows["gold.alerts"] <= report["alerts_raised"] + report["alerts_suppressed"]
    assert report["alerts_suppressed"] > 0
    assert report["transactions"] < report["silver"], "the simulator sends duplicates"
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"] <= report["latency_ms"]["p99"]
    assert "exactly once" in output
    # Kafka, the registry, Spark with its workers and RocksDB, Delta, SQLite, logs and the report.
    assert len(list(tmp_path.rglob("*"))) > 100
    # The registry's web server sets the mode of its cache itself; nobody else can enter the directory that it is in.
    assert [file for file in open_files(tmp_path) if "/vertx-cache" not in file] == []


@pytest.mark.timeout(300)
@pytest.mark.faults
def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    process = demo(tmp_path, "--duration", "10m", "--rate", "50", start_new_session=True)
    children = _wait_for_services(process)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    _, alive = psutil.wait_procs(children, timeout=5)
    assert [_command(child) for child in alive] == []


def _wait_for_services(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """All child processes of the demo, once its last services have started."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        if any("lakehouse" in " ".join(_command(child)) for child in children):
            return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.5)
    pytest.fail(f"the services did not start: {process.communicate()[0] if process.poll() is not None else 'too slow'}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
