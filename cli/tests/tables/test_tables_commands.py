"""``cardwatch tables``: Delta tables read without Spark, as they are and as they were."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from cardwatch_cli.main import app
from deltalake import write_deltalake
from typer.testing import CliRunner, Result


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """gold.alerts with two versions, and silver.transactions, partitioned."""
    at = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def alerts(*ids: str) -> pa.Table:
        return pa.table(
            {
                "alert_id": ids,
                "status": ["raised"] * len(ids),
                "measures": pa.array([[{"name": "n", "value": 3.0}]] * len(ids)),
                "event_time": pa.array([at] * len(ids), pa.timestamp("us", "UTC")),
            }
        )

    write_deltalake(tmp_path / "gold/alerts", alerts("a", "b"))
    write_deltalake(tmp_path / "gold/alerts", alerts("c"), mode="append")
    days = pa.table({"transaction_id": ["t1", "t2"], "event_date": pa.array([at.date(), at.date()]), "amount": [1, 2]})
    write_deltalake(tmp_path / "silver/transactions", days, partition_by=["event_date"])
    return tmp_path


def run(lake: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tables", *arguments, "--tables-dir", str(lake)])


def rows(lake: Path, sql: str, *more: str) -> list[dict[str, object]]:
    outcome = run(lake, "query", sql, "--format", "json", *more)
    assert outcome.exit_code == 0, outcome.output
    return [json.loads(line) for line in outcome.output.splitlines()]


def test_list_describe_history(lake: Path) -> None:
    lines = run(lake, "list").output.splitlines()
    (gold,) = [line.split() for line in lines if "gold.alerts" in line]
    assert gold[1:3] == ["3", "2"]
    described = run(lake, "describe", "silver.transactions").output
    assert "event_date" in described
    assert "partition" in described
    assert "2 rows in 1 file" in described
    history = run(lake, "history", "gold.alerts").output
    assert history.index(" 1 ") < history.index(" 0 "), "newest first"


def test_query_joins_tables_by_their_names(lake: Path) -> None:
    sql = "SELECT count(*) AS n, sum(amount)::BIGINT AS s FROM gold.alerts, silver.transactions"
    assert rows(lake, sql) == [{"n": 6, "s": 9}]


def test_query_reads_old_versions(lake: Path) -> None:
    sql = "SELECT count(*) AS n FROM gold.alerts"
    assert rows(lake, sql) == [{"n": 3}]
    assert rows(lake, sql, "--version", "gold.alerts=0") == [{"n": 2}]
    assert rows(lake, "SELECT count(*) AS n FROM silver.transactions", "--version", "gold.alerts=0") == [{"n": 2}]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert "did not exist yet at 2020" in run(lake, "query", sql, "--at", "2020-01-01T00:00:00").stderr
    assert rows(lake, sql, "--at", now.replace(now[:4], "2099")) == [{"n": 3}]


def test_formats(lake: Path, tmp_path: Path) -> None:
    sql = "SELECT * FROM gold.alerts ORDER BY alert_id"
    csv = run(lake, "query", sql, "--format", "csv").output
    assert csv.splitlines()[1].startswith('"a","raised","[{""name"": ""n"", ""value"": 3.0}]",2026-11-25 12:00')
    file = tmp_path / "alerts.arrow"
    assert "3 rows" in run(lake, "query", sql, "--format", "arrow", "--output", str(file)).stderr
    assert pa.ipc.open_stream(io.BytesIO(file.read_bytes())).read_all()["alert_id"].to_pylist() == ["a", "b", "c"]
    assert "2026-11-25 12:00:00Z" in run(lake, "query", sql).output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("query", "DROP TABLE gold.alerts"), "expected one SELECT"),
        (("query", "SELECT 1; SELECT 2"), "expected one SELECT"),
        (("query", "SELECT nope FROM gold.alerts"), 'Referenced column "nope" not found'),
        (
            ("query", "SELECT 1", "--version", "12"),
            "--version: expected a table and its version such as gold.alerts=12",
        ),
        (("query", "SELECT 1", "--output", "x"), "--output needs --format"),
        (("query", "SELECT 1 FROM gold.alerts", "--version", "gold.alerts=99"), "`cardwatch tables history` lists"),
        (("describe", "gold.nothing"), "the tables are silver.transactions, gold.alerts"),
    ],
)
def test_mistakes_are_one_sentence(lake: Path, arguments: tuple[str, ...], sentence: str) -> None:
    outcome = run(lake, *arguments)
    assert outcome.exit_code == 1
    assert sentence in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1


def test_a_directory_without_tables_is_reported(tmp_path: Path) -> None:
    assert "there are no Delta tables under" in run(tmp_path, "list").stderr
