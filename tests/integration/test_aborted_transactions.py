"""Messages of aborted transactions reach nothing: no topic, table, alert, webhook, rule or reader.

A producer may write to any of our topics in transactions. The broker keeps the messages of one that was aborted, and a
marker behind each transaction; whoever reads must skip them, and must not wait for a message at their offsets.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.demo.pipeline import Pipeline
from cardwatch_cli.demo.services import ENRICHER, NOTIFIER
from cardwatch_contracts.topics import ALERTS, LISTS, RULE_STATUS, RULES, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Record
from cardwatch_rulebook import connect, planning
from cardwatch_rulebook.definitions import read_definitions
from cardwatch_rulebook.planning import Author
from cardwatch_service.metrics import CONSUMER_LAG
from cardwatch_service.settings import ServiceSettings
from confluent_kafka import Producer
from deltalake import DeltaTable
from support.kafka import KafkaTopics
from support.pipelines import running_pipelines
from support.records import SECOND_US, alert_record, enriched_record, transaction_record
from support.spark_settings import QUICK, WITHOUT_SLOW_TABLES
from support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

ABORTED = 100
TIMEOUT_SECONDS = 60.0
ABORTED_CARD, COMMITTED_CARD = "a" * 32, "c" * 32


class Transactions:
    """Writes messages to topics under one prefix in Kafka transactions, one after the other."""

    def __init__(self, platform: Any, topics: KafkaTopics) -> None:
        self._topics = topics
        self._producer = Producer(
            {
                "bootstrap.servers": platform.bootstrap_servers,
                "transactional.id": f"test-{topics.prefix}",
                "partitioner": "murmur2_random",
            }
        )
        self._producer.init_transactions(TIMEOUT_SECONDS)

    def write(self, topic: Topic, records: list[Record], *, commit: bool) -> None:
        """Write records, keyed by their card, in one transaction."""
        keyed = [(record["card_token"].encode(), self._topics.encode(topic, record)) for record in records]
        self.write_values(topic, keyed, commit=commit)

    def write_values(self, topic: Topic, messages: list[tuple[bytes, bytes]], *, commit: bool) -> None:
        """Write keys and values in one transaction."""
        self._producer.begin_transaction()
        for key, value in messages:
            self._producer.produce(topic.name(self._topics.prefix), value, key)
        assert self._producer.flush(TIMEOUT_SECONDS) == 0, "the broker has the messages before they are aborted"
        if commit:
            self._producer.commit_transaction(TIMEOUT_SECONDS)
        else:
            self._producer.abort_transaction(TIMEOUT_SECONDS)


@pytest.fixture
def topics(platform: Any, topic_prefix: str) -> KafkaTopics:
    return KafkaTopics(platform, topic_prefix)


@pytest.fixture
def settings(platform: Any, topic_prefix: str) -> ServiceSettings:
    return ServiceSettings(
        kafka_bootstrap_servers=platform.bootstrap_servers,
        schema_registry_url=platform.registry_url,
        topic_prefix=topic_prefix,
    )


@pytest.fixture
def pipeline(platform: Any, tmp_path: Path) -> Iterator[Pipeline]:
    with running_pipelines(platform, tmp_path) as start:
        yield start(env={**QUICK, **WITHOUT_SLOW_TABLES})


def payments(make: Callable[..., Record], card: str, count: int, first: int = 0) -> list[Record]:
    """Payments with one card, one second apart: from the fifth on, each is an alert by the demo's rules."""
    start = transaction_record()["event_time"]
    return [
        make(transaction_id=f"{card[0]}-{number}", card_token=card, event_time=start + number * SECOND_US)
        for number in range(first, first + count)
    ]


def rows(pipeline: Pipeline, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DeltaTable(str(pipeline.tables_dir / name)).to_pyarrow_table().to_pylist()
    return found


@pytest.mark.timeout(500)
def test_aborted_messages_reach_no_topic_table_or_webhook(platform: Any, pipeline: Pipeline) -> None:
    topics = KafkaTopics(platform, pipeline.options.topic_prefix)
    transactions = Transactions(platform, topics)

    def step(topic: Topic, make: Callable[..., Record], first: int) -> None:
        """Aborted payments, committed ones, and again aborted ones, behind which the partition ends."""
        transactions.write(topic, payments(make, ABORTED_CARD, ABORTED, first), commit=False)
        transactions.write(topic, payments(make, COMMITTED_CARD, 10, first), commit=True)
        transactions.write(topic, payments(make, COMMITTED_CARD, ABORTED, first + 10), commit=False)

    step(TRANSACTIONS_RAW, transaction_record, 0)
    pipeline.drain()
    expected = {f"c-{number}" for number in range(10)}
    assert {record["transaction_id"] for record in topics.records(TRANSACTIONS_SILVER)} == expected
    assert len(topics.records(TRANSACTIONS_SILVER)) == 10

    step(TRANSACTIONS_SILVER, enriched_record, 20)
    pipeline.drain()
    expected |= {f"c-{number}" for number in range(20, 30)}
    alerts = topics.records(ALERTS)
    assert {alert["card_token"] for alert in alerts} == {COMMITTED_CARD}
    assert {alert["transaction_id"] for alert in alerts} <= expected

    delivered = alert_record(enriched_record(transaction_id="delivered", card_token=COMMITTED_CARD))
    aborted = [
        alert_record(enriched_record(transaction_id=f"aborted-{number}", card_token=ABORTED_CARD))
        for number in range(ABORTED)
    ]
    transactions.write(ALERTS, aborted, commit=False)
    transactions.write(ALERTS, [delivered], commit=True)
    transactions.write(ALERTS, aborted, commit=False)
    pipeline.drain()
    received = {alert["alert_id"] for alert in pipeline.received_alerts()}
    assert received == {alert["alert_id"] for alert in [*alerts, delivered] if alert["status"] == "raised"}

    for service in (ENRICHER, NOTIFIER):
        probe = pipeline.services[service].probe
        wait_until(lambda probe=probe: probe.value(CONSUMER_LAG) == 0, f"end of the {service}'s lag", seconds=10)
    recorded = pipeline.recorded()  # what `cardwatch demo` reads back
    assert recorded.produced == 10
    assert {transaction["transaction_id"] for transaction in recorded.transactions} <= expected
    pipeline.stop()
    assert {row["transaction_id"] for row in rows(pipeline, "silver/transactions")} == expected
    assert len(rows(pipeline, "bronze/transactions")) == 10
    assert {row["alert_id"] for row in rows(pipeline, "gold/alerts") if row["status"] == "raised"} == received


def test_aborted_rules_lists_and_states_do_not_exist(
    platform: Any, topics: KafkaTopics, settings: ServiceSettings
) -> None:
    transactions = Transactions(platform, topics)
    rule = """
- id: kept
  title: Many payments with one card
  scope: card
  severity: high
  measures:
    payments: {window: 2m, is: count(*)}
  when: payments >= 5
"""
    with connect.open_stores(settings) as stores, connect.follower(settings, {"card": 3_600 * SECOND_US}) as follower:
        stores.rules.carry_out([planning.apply(read_definitions(rule, "test")[0], Author("anna"))])
        for topic in (RULES, LISTS, RULE_STATUS):
            transactions.write_values(topic, [(b"key", b"not an Avro record")] * ABORTED, commit=False)
        assert [change.rule_id for change in stores.rules.read().current()] == ["kept"]
        assert stores.lists.read().names() == []
        assert stores.statuses.read() == {}
        assert stores.rules.skipped == 0, "an aborted message was read"
        wait_until(lambda: "kept" in follower.wait_until_read(TIMEOUT_SECONDS).revisions, "rule kept")
        stores.rules.carry_out([planning.pause("kept", Author("ben"))])
        wait_until(lambda: follower.snapshot().revisions["kept"] == 2, "a change behind the aborted messages")
