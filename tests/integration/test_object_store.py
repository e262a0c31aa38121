"""The lakehouse on a store that speaks S3's protocol: tables and checkpoints there, whatever is killed when."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import BotoCoreError
from cardwatch_cli.main import app
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Encoder
from cardwatch_detector.velocity.warm_up import made_up_transaction
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS
from cardwatch_platform import PlatformSettings
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.embedded import spark_classpath
from cardwatch_platform.ports import HOST, free_port
from confluent_kafka import Producer
from deltalake import write_deltalake
from support import partial_lakehouse
from support.topics import messages
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration

BUCKET = "lake"
TABLES = f"s3a://{BUCKET}/tables"
NOW_US = 1_795_478_400_000_000
PATIENCE_SECONDS = 240.0  # the machine may be busy with other tests


class Store:
    """A server of its own, with one bucket; in memory."""

    def __init__(self, directory: Path) -> None:
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{free_port()}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1",
        }
        port = self.variables["AWS_ENDPOINT_URL"].rpartition(":")[2]
        # A process of its own: delta-rs holds Python's lock while it waits for an answer.
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", port]
        with (directory / "store.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="eu-central-1",
        )

        def there() -> bool:
            try:
                self.client.create_bucket(
                    Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
                )
            except BotoCoreError:
                return False
            return True

        wait(there, "store")

    def names(self, prefix: str) -> list[str]:
        """The objects under a prefix, a thousand at most."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("store"))
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(scope="module")
def classpath() -> str:
    """Spark's jars and those for S3, of which ten megabytes are downloaded once."""
    return spark_classpath(PlatformSettings(), load_lock(), "s3")


class Lakehouse:
    """The lakehouse as a process, with all that it keeps on the store; two tables of it."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        command = [sys.executable, partial_lakehouse.__file__]
        command += [BRONZE_TRANSACTIONS.name, SILVER_TRANSACTIONS.name, "--make", BRONZE_QUARANTINE.name]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        def or_ended() -> bool:
            assert self.process.poll() is None, self._log.read_text(errors="replace")[-3000:]
            return condition()

        wait(or_ended, f"{what}: {self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """At once, as when a machine loses power."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def test_tables_are_read_without_spark(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "there is no table gold.nothing; there are gold.alerts" in command("describe", "gold.nothing").stderr
    tables = "s3a://nowhere/small"
    assert command("list").stderr.strip().endswith("The specified bucket does not exist")


@pytest.mark.skipif(
    "CARDWATCH_TEST_OBJECT_STORE" not in os.environ, reason="half a minute: CARDWATCH_TEST_OBJECT_STORE=1 runs it"
)
def test_killed_in_the_middle_the_tables_equal_the_topics(
    store: Store, classpath: str, platform: Any, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number_of = ConfluentRegistry(platform.registry_url).id_of(
        TRANSACTIONS_SILVER.subject(topic_prefix), "enriched_transaction"
    )
    encode = Encoder("enriched_transaction", number_of)
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers})
    for number in [*range(400), *range(50)]:  # the last fifty a second time
        value = encode(made_up_transaction(number, NOW_US + number))
        for topic in (TRANSACTIONS_RAW, TRANSACTIONS_SILVER):
            producer.produce(topic.name(topic_prefix), value, str(number % 8).encode())
    assert producer.flush(60) == 0
    environment = {
        **os.environ,
        **platform.environment(),
        **store.variables,
        "CARDWATCH_SPARK_CLASSPATH": classpath,
        "CARDWATCH_SPARK_MASTER": "local[2]",
        "CARDWATCH_TOPIC_PREFIX": topic_prefix,
        "CARDWATCH_METRICS_PORT": "0",
        "CARDWATCH_LAKEHOUSE_TABLES_DIR": TABLES,
        "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": f"s3a://{BUCKET}/checkpoints",
        "CARDWATCH_LAKEHOUSE_TRIGGER": "1s",
        "CARDWATCH_LAKEHOUSE_MAX_OFFSETS_PER_TRIGGER": "300",
        "CARDWATCH_LAKEHOUSE_PROFILES": "false",
        "CARDWATCH_LAKEHOUSE_VELOCITY": "false",
    }
    for name, value in store.variables.items():
        monkeypatch.setenv(name, value)

    first = Lakehouse(environment, tmp_path / "lakehouse.log")
    try:
        # Its second micro-batch is planned: what it was doing at that moment is done again.
        first.wait(lambda: bool(store.names("checkpoints/silver.transactions/offsets/1")), "second micro-batch")
    finally:
        first.kill()
    catalog = Catalog(TABLES)

    def rows(table: str) -> int:
        return int(catalog.open(table).to_pyarrow_dataset().count_rows())

    raw = messages(platform.bootstrap_servers, TRANSACTIONS_RAW.name(topic_prefix))
    second = Lakehouse(environment, tmp_path / "lakehouse.log")
    try:
        second.wait(
            lambda: rows("bronze.transactions") >= len(raw) and rows("silver.transactions") >= 400, "rest of the topics"
        )
        # What a micro-batch wrote twice would be there by now: it is the first that a restarted query does.
    finally:
        second.kill()

    bronze = catalog.open("bronze.transactions").to_pyarrow_table(columns=["partition", "offset"]).to_pylist()
    assert sorted((row["partition"], row["offset"]) for row in bronze) == sorted(
        (message.partition(), message.offset()) for message in raw
    )
    silver = (
        catalog.open("silver.transactions").to_pyarrow_table(columns=["transaction_id", "amount_minor"]).to_pylist()
    )
    expected = [made_up_transaction(number, 0) for number in range(400)]
    assert sorted((row["transaction_id"], row["amount_minor"]) for row in silver) == sorted(
        (str(record["transaction_id"]), record["amount_minor"]) for record in expected
    )
    asked = ["tables", "query", "SELECT count(*) AS n FROM silver.transactions", "--format", "json"]
    outcome = CliRunner().invoke(app, [*asked, "--tables-dir", TABLES])
    assert outcome.output.strip() == '{"n": 400}', outcome.output
