"""Profiles on real Spark, Delta and broker: a late transaction, and a kill between the table's commit and the topic."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import CARD_PROFILES, TRANSACTIONS_RAW
from cardwatch_contracts.wire import Decoder
from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS, Table
from confluent_kafka import Producer
from deltalake import DeltaTable, write_deltalake
from support import partial_lakehouse
from support.kafka import read_messages
from support.platforms import Platform
from support.processes import ServiceProcess, service_environment
from support.records import enriched_record

pytestmark = [pytest.mark.integration, pytest.mark.faults]

FIRST = date(2026, 3, 2)
DAYS_KEPT = 3
WAIT_SECONDS = 240.0
CARD, OTHER = "a" * 32, "b" * 32


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


class Lakehouse(ServiceProcess):
    """A lakehouse process that computes profiles; the test writes silver instead of the silver query."""

    def __init__(self, platform: Platform, prefix: str, directory: Path) -> None:
        self._tables_dir = directory / "tables"
        self._numbers = 0
        settings = {
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(self._tables_dir),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(directory / "checkpoints"),
            "CARDWATCH_LAKEHOUSE_PROFILES_TRIGGER": "1s",
            "CARDWATCH_LAKEHOUSE_PROFILES_DAYS_KEPT": str(DAYS_KEPT),
        }
        # The other queries over silver are off, because they would take processor time.
        command = [sys.executable, partial_lakehouse.__file__, GOLD_CARD_PROFILE.name]
        command += ["--make", SILVER_TRANSACTIONS.name, GOLD_CARD_DAYS.name]
        environment = service_environment(platform, prefix, **settings)
        super().__init__(command, environment, directory / "lakehouse.log", wait_seconds=WAIT_SECONDS)

    def table(self, table: Table) -> DeltaTable:
        return DeltaTable(table.path(str(self._tables_dir)))

    def rows(self, table: Table) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.table(table).to_pyarrow_table().to_pylist()
        return found

    def add(self, *transactions: dict[str, Any]) -> None:
        """Commit transactions to silver, all at once."""
        silver = self.table(SILVER_TRANSACTIONS)
        schema = pa.schema(silver.schema().to_arrow())
        rows = []
        for transaction in transactions:
            self._numbers += 1
            rows.append({"transaction_id": f"t{self._numbers}", **transaction})
        write_deltalake(silver, pa.Table.from_pylist(rows, schema=schema), mode="append")


@pytest.fixture
def lakehouse(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[Lakehouse]:
    made = Lakehouse(platform, topic_prefix, tmp_path)
    yield made
    made.kill()


@pytest.fixture
def published(platform: Platform, topic_prefix: str) -> Callable[[], list[Any]]:
    """All messages of the topic so far."""
    return lambda: read_messages(platform.bootstrap_servers, CARD_PROFILES.name(topic_prefix))


def transaction(card: str, on: date, amount: int, hour: int = 12, **fields: Any) -> dict[str, Any]:
    at = datetime(on.year, on.month, on.day, hour, 30, tzinfo=UTC)
    times = ("transaction_id", "raw_broker_time", "enriched_at")
    record = {name: value for name, value in enriched_record().items() if name not in times}
    return record | {
        "event_time": at,
        "event_date": on,
        "hour_of_day": hour,
        "card_token": card,
        "base_amount_minor": amount,
        **fields,
    }


def profile(valid_on: date, count: int, mean: float, deviation: float | None, most: int, *sets: Any) -> dict[str, Any]:
    """A profile whose 30 days hold as much as its 90."""
    active, countries, hours = sets
    return {
        "valid_on": valid_on,
        **{
            f"{name}_{length}": value
            for length in ("30d", "90d")
            for name, value in (
                ("transactions", count),
                ("mean_amount_minor", mean),
                ("stddev_amount_minor", deviation),
            )
        },
        "max_amount_minor_90d": most,
        "active_days_90d": active,
        "countries_90d": countries,
        "hours_90d": hours,
    }


def test_tables_and_topic_after_a_late_transaction_and_a_kill(
    platform: Platform, topic_prefix: str, lakehouse: Lakehouse, published: Callable[[], list[Any]], tmp_path: Path
) -> None:
    decode = Decoder("card_profile", ConfluentRegistry(platform.registry_url), CARD_PROFILES.subject(topic_prefix))

    def in_table() -> dict[tuple[str, date], dict[str, Any]]:
        rows = lakehouse.rows(GOLD_CARD_PROFILE)
        assert len({(row["card_token"], row["valid_on"]) for row in rows}) == len(rows)
        for row in rows:
            del row["changed_by"]
        return {(row.pop("card_token"), row["valid_on"]): row for row in rows}

    def in_topic() -> list[tuple[str, date, dict[str, Any]]]:
        found = []
        for message in published():
            record = decode(message.value())
            record["valid_on"] = datetime.fromtimestamp(record["valid_on"] / 1_000_000, UTC).date()
            assert message.key() == record["card_token"].encode()
            found.append((record.pop("card_token"), record["valid_on"], record))
        return found

    # Day 0 ── 1 ── 2 ── 3 ── 4 00:30          settled: days 0 to 2, though day 4 has begun
    lakehouse.start()
    lakehouse.wait_for(
        (tmp_path / "checkpoints" / GOLD_CARD_PROFILE.name / "commits" / "0").exists, "first look at silver"
    )
    lakehouse.add(
        transaction(CARD, day(0), 1000, hour=9),
        transaction(CARD, day(1), 3000, hour=20, country="FR"),
        transaction(CARD, day(1), 9000, country="US", status="declined"),
        transaction(CARD, day(1), 9000, country="US", transaction_type="refund"),
        transaction(OTHER, day(2), 700),
        transaction(CARD, day(3), 8000),
        transaction(OTHER, day(4), 1, hour=0),
    )
    deviation = 1000 * 2**0.5
    first = {
        (CARD, day(2)): profile(day(2), 1, 1000.0, None, 1000, 1, ["DE"], [9]),
        (CARD, day(3)): profile(day(3), 2, 2000.0, deviation, 3000, 2, ["DE", "FR"], [9, 20]),
        (CARD, day(4)): profile(day(4), 2, 2000.0, deviation, 3000, 2, ["DE", "FR"], [9, 20]),
        (OTHER, day(4)): profile(day(4), 1, 700.0, None, 700, 1, ["DE"], [12]),
    }
    lakehouse.wait_for(lambda: len(published()) >= len(first), "first profiles")
    assert in_table() == first
    assert {(card, valid_on): record for card, valid_on, record in in_topic()} == first
    assert len(in_topic()) == len(first)
    assert sorted({row["day"] for row in lakehouse.rows(GOLD_CARD_DAYS)}) == [day(0), day(1), day(2)]

    # Day 3 is settled at 01:00 of day 4; and a transaction of day 1 comes late. The broker does not answer: the table
    # is committed, nothing is published, and the process is killed.
    platform.pause_broker()
    try:
        lakehouse.add(transaction(OTHER, day(1), 300, hour=3), transaction(CARD, day(4), 1, hour=1))
        lakehouse.wait_for(lambda: (CARD, day(5)) in in_table(), "commit of the table")
        lakehouse.kill()
    finally:
        platform.resume_broker()
    assert len(in_topic()) == len(first)
    versions = lakehouse.table(GOLD_CARD_DAYS).version()
    # A card's profile of day 2 is no longer kept; the profiles of the other card that cover day 1 have changed.
    second = {
        (OTHER, day(3)): profile(day(3), 1, 300.0, None, 300, 1, ["DE"], [3]),
        (OTHER, day(4)): profile(day(4), 2, 500.0, 200 * 2**0.5, 700, 2, ["DE"], [3, 12]),
        (OTHER, day(5)): profile(day(5), 2, 500.0, 200 * 2**0.5, 700, 2, ["DE"], [3, 12]),
        (CARD, day(5)): profile(day(5), 3, 4000.0, (39_000_000 / 3) ** 0.5, 8000, 3, ["DE", "FR"], [9, 12, 20]),
    }
    now = {key: first[key] for key in ((CARD, day(3)), (CARD, day(4)))} | second
    assert in_table() == now

    # Only changed profiles are published, at least once.
    lakehouse.start()
    lakehouse.wait_for(lambda: len(published()) >= len(first) + len(second), "profiles after the kill")
    assert in_table() == now
    told = in_topic()
    later = [entry for entry in told if first.get(entry[:2]) != entry[2]]
    assert {(card, valid_on): record for card, valid_on, record in later} == second
    assert len(told) == len(first) + len(second)
    assert lakehouse.table(GOLD_CARD_DAYS).version() == versions  # the micro-batch is known to have written it

    # A late transaction alone: its card's profiles over its day, and no others.
    lakehouse.add(transaction(OTHER, day(2), 100))
    lakehouse.wait_for(lambda: len(published()) >= len(told) + 2, "profiles after a late transaction")
    figures = (3, 1100.0 / 3, (560_000.0 / 6) ** 0.5, 700, 2, ["DE"], [3, 12])
    third = {(OTHER, valid_on): profile(valid_on, *figures) for valid_on in (day(4), day(5))}
    assert in_table() == now | third
    latest = [entry for entry in in_topic() if entry not in told]
    assert {(card, valid_on): record for card, valid_on, record in latest} == third
    told += latest
    assert len(in_topic()) == len(told)

    # A transaction of a day that is not settled changes nothing.
    before = [lakehouse.table(table).version() for table in (GOLD_CARD_DAYS, GOLD_CARD_PROFILE)]
    lakehouse.add(transaction(CARD, day(4), 5000, hour=2))
    time.sleep(6)
    assert [lakehouse.table(table).version() for table in (GOLD_CARD_DAYS, GOLD_CARD_PROFILE)] == before
    assert len(published()) == len(told)

    # Keys are in the partitions that every client of Cardwatch uses for them.
    placed: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers, "partitioner": "murmur2_random"})
    for card in (CARD, OTHER):
        producer.produce(
            TRANSACTIONS_RAW.name(topic_prefix),
            b"-",
            card.encode(),
            on_delivery=lambda error, message: placed.update({message.key(): message.partition()}),
        )
    producer.flush(30)
    assert placed == {message.key(): message.partition() for message in published()}
