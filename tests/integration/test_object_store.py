"""The lakehouse on a store with S3's protocol: tables and checkpoints are correct after kills."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS
from cardwatch_platform import PlatformSettings
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.embedded import spark_classpath
from deltalake import write_deltalake
from support import partial_lakehouse
from support.kafka import KafkaTopics
from support.object_store import BUCKET, ObjectStore
from support.platforms import Platform
from support.processes import ServiceProcess, service_environment
from support.records import EVENT_TIME_US, enriched_record
from typer.testing import CliRunner, Result

pytestmark = [pytest.mark.integration, pytest.mark.faults]

TABLES = f"s3a://{BUCKET}/tables"
WAIT_SECONDS = 240.0  # the machine may be busy with other tests


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    made = ObjectStore(tmp_path_factory.mktemp("store"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def classpath() -> str:
    """Spark's jars and those for S3, of which ten megabytes are downloaded once."""
    return spark_classpath(PlatformSettings(), load_lock(), "s3")


def test_tables_are_read_without_spark(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.variables.items():
        monkeypatch.setenv(name, value)
    tables = f"s3a://{BUCKET}/small"
    place = locate(tables).of("gold.alerts")
    for ids in (["a", "b"], ["c"]):
        write_deltalake(place.uri, pa.table({"alert_id": ids}), mode="append", storage_options=place.options())

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["tables", *arguments, "--tables-dir", tables])

    assert "gold.alerts" in command("list").output
    assert "3 rows in 2 files" in command("describe", "gold.alerts").output
    assert command("history", "gold.alerts").output.count("WRITE") == 2
    asked = ("query", "SELECT count(*) AS n FROM gold.alerts", "--format", "json")
    assert command(*asked).output.strip() == '{"n": 3}'
    assert command(*asked, "--version", "gold.alerts=0").output.strip() == '{"n": 2}'
    assert "there is no table gold.nothing; the tables are gold.alerts" in command("describe", "gold.nothing").stderr
    tables = "s3a://nowhere/small"
    assert command("list").stderr.strip().endswith("The specified bucket does not exist")


def transaction(number: int) -> dict[str, Any]:
    """Transaction ``t-<number>``, of one of eight cards."""
    return enriched_record(
        transaction_id=f"t-{number}",
        event_time=EVENT_TIME_US + number,
        card_token=f"{number % 8:032x}",
        amount_minor=100 * number,
        raw_offset=number,
    )


def test_tables_equal_topics_after_a_kill(
    store: ObjectStore,
    classpath: str,
    platform: Platform,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = KafkaTopics(platform, topic_prefix)
    for number in [*range(400), *range(50)]:  # the last fifty a second time
        value = topics.encode(TRANSACTIONS_SILVER, transaction(number))
        for topic in (TRANSACTIONS_RAW, TRANSACTIONS_SILVER):
            topics.send(topic, value, str(number % 8).encode())
    topics.flush()
    settings = {
        **store.variables,
        "CARDWATCH_SPARK_CLASSPATH": classpath,
        "CARDWATCH_SPARK_MASTER": "local[2]",
        "CARDWATCH_LAKEHOUSE_TABLES_DIR": TABLES,
        "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": f"s3a://{BUCKET}/checkpoints",
        "CARDWATCH_LAKEHOUSE_TRIGGER": "1s",
        "CARDWATCH_LAKEHOUSE_MAX_OFFSETS_PER_TRIGGER": "300",
        "CARDWATCH_LAKEHOUSE_PROFILES": "false",
        "CARDWATCH_LAKEHOUSE_VELOCITY": "false",
    }
    # Two tables of it; it keeps everything on the store.
    command = [sys.executable, partial_lakehouse.__file__]
    command += [BRONZE_TRANSACTIONS.name, SILVER_TRANSACTIONS.name, "--make", BRONZE_QUARANTINE.name]
    environment = service_environment(platform, topic_prefix, **settings)
    lakehouse = ServiceProcess(command, environment, tmp_path / "lakehouse.log", wait_seconds=WAIT_SECONDS)
    for name, value in store.variables.items():
        monkeypatch.setenv(name, value)

    lakehouse.start()
    try:
        # Its second micro-batch is planned and will be repeated.
        lakehouse.wait_for(lambda: bool(store.names("checkpoints/silver.transactions/offsets/1")), "second micro-batch")
    finally:
        lakehouse.kill()
    catalog = Catalog(TABLES)

    def rows(table: str) -> int:
        return int(catalog.open(table).to_pyarrow_dataset().count_rows())

    raw = topics.messages(TRANSACTIONS_RAW)
    lakehouse.start()
    try:
        lakehouse.wait_for(
            lambda: rows("bronze.transactions") >= len(raw) and rows("silver.transactions") >= 400, "rest of the topics"
        )
        # A micro-batch that was written twice would be visible by now: a restarted query repeats it first.
    finally:
        lakehouse.kill()

    bronze = catalog.open("bronze.transactions").to_pyarrow_table(columns=["partition", "offset"]).to_pylist()
    assert sorted((row["partition"], row["offset"]) for row in bronze) == sorted(
        (message.partition(), message.offset()) for message in raw
    )
    silver = (
        catalog.open("silver.transactions").to_pyarrow_table(columns=["transaction_id", "amount_minor"]).to_pylist()
    )
    expected = [transaction(number) for number in range(400)]
    assert sorted((row["transaction_id"], row["amount_minor"]) for row in silver) == sorted(
        (str(record["transaction_id"]), record["amount_minor"]) for record in expected
    )
    asked = ["tables", "query", "SELECT count(*) AS n FROM silver.transactions", "--format", "json"]
    outcome = CliRunner().invoke(app, [*asked, "--tables-dir", TABLES])
    assert outcome.output.strip() == '{"n": 400}', outcome.output


def test_a_lakehouse_that_loses_its_lease_ends_and_the_tables_stay_correct(
    store: ObjectStore,
    classpath: str,
    platform: Platform,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first process is frozen for longer than its lease lives, another takes over, and the first wakes up."""
    topics = KafkaTopics(platform, topic_prefix)

    def send(numbers: range) -> None:
        for number in numbers:
            value = topics.encode(TRANSACTIONS_SILVER, transaction(number))
            topics.send(TRANSACTIONS_SILVER, value, str(number % 8).encode())
        topics.flush()

    tables = f"s3a://{BUCKET}/fenced"
    settings = {
        **store.variables,
        "CARDWATCH_SPARK_CLASSPATH": classpath,
        "CARDWATCH_SPARK_MASTER": "local[2]",
        "CARDWATCH_LAKEHOUSE_TABLES_DIR": tables,
        "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": f"s3a://{BUCKET}/fenced-checkpoints",
        "CARDWATCH_LAKEHOUSE_TRIGGER": "1s",
        "CARDWATCH_LAKEHOUSE_PROFILES": "false",
        "CARDWATCH_LAKEHOUSE_VELOCITY": "false",
    }
    command = [sys.executable, partial_lakehouse.__file__, SILVER_TRANSACTIONS.name]
    environment = service_environment(platform, topic_prefix, **settings)
    first, second = (
        ServiceProcess(command, environment, tmp_path / f"{name}.log", wait_seconds=WAIT_SECONDS)
        for name in ("first", "second")
    )
    for name, value in store.variables.items():
        monkeypatch.setenv(name, value)
    catalog = Catalog(tables)

    def rows() -> int:
        try:
            return int(catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_dataset().count_rows())
        except ConfigurationError:  # the table does not exist yet
            return 0

    send(range(100))
    first.start()
    try:
        first.wait_for(lambda: rows() == 100, "first rows")
        os.killpg(first.process.pid, signal.SIGSTOP)
        send(range(100, 200))
        second.start()
        second.wait_for(lambda: rows() == 200, "rows of the second process")
        os.killpg(first.process.pid, signal.SIGCONT)
        assert first.process.wait(WAIT_SECONDS) == 1
        assert "this process has lost the lease" in first.log_tail()
        send(range(200, 300))
        second.wait_for(lambda: rows() == 300, "rows after the first process ended")
    finally:
        first.kill()
        second.kill()
    found = catalog.open(SILVER_TRANSACTIONS.name).to_pyarrow_table(columns=["transaction_id"])
    assert sorted(found["transaction_id"].to_pylist()) == sorted(f"t-{number}" for number in range(300))
