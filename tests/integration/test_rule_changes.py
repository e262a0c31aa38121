"""The audit trail on real broker, registry, Spark and Delta: kills break no chain, and what is changed is found."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.topics import AUDITED_TOPICS, LISTS, RULES
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES
from cardwatch_rulebook import planning
from cardwatch_rulebook.connect import Stores, open_stores
from cardwatch_rulebook.definitions import read_definitions
from cardwatch_rulebook.lists import Kind, ListEntry
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings
from deltalake import DeltaTable, write_deltalake
from support import partial_lakehouse
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, service_environment
from support.spark_settings import QUICK
from support.waiting import wait_until
from typer.testing import CliRunner, Result

pytestmark = [pytest.mark.integration, pytest.mark.faults]

ANNA = Author("User:anna", authenticated=True)
WAIT_SECONDS = 180.0
# A micro-batch writes its offsets, then the table's file and commit, then its own commit: a kill after each of them.
MOMENTS = ("checkpoints/*/offsets/[0-9]*", "tables/bronze/rule_changes/*.parquet", "tables/**/_delta_log/*.json")
RULE = """
- id: spree
  title: Many payments
  scope: card
  measures: {payments: {window: 2m, is: count(*)}}
  when: payments >= %d
"""


class Changes:
    """Makes changes of rules and lists, and other messages that their topics may hold."""

    def __init__(self, stores: Stores, topics: KafkaTopics) -> None:
        self.stores = stores
        self.topics = topics
        self.sent = 0

    def make(self) -> None:
        """A change of a rule, a value that is added and removed, a tombstone and garbage."""
        number = self.sent
        (definition,) = read_definitions(RULE % (number + 2), "test")
        (outcome,) = self.stores.rules.carry_out([planning.apply(definition, ANNA)])
        assert outcome.change is not None
        entries = [
            ListEntry("trusted", Kind.MERCHANT, f"m{number}", present, "", "anna", 1) for present in (True, False)
        ]
        self.stores.lists.append(entries)
        self.topics.send(RULES, None, outcome.change.key.encode())
        self.topics.send(LISTS, b"garbage", entries[0].key.encode())
        self.topics.flush()
        self.sent += 5


@pytest.fixture
def changes(platform: Platform, topic_prefix: str) -> Iterator[Changes]:
    settings = ServiceSettings(
        kafka_bootstrap_servers=platform.bootstrap_servers,
        schema_registry_url=platform.registry_url,
        topic_prefix=topic_prefix,
    )
    with open_stores(settings) as stores:
        yield Changes(stores, KafkaTopics(platform, topic_prefix))


@pytest.fixture
def lakehouse(platform: Platform, topic_prefix: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    process = ServiceProcess(
        [sys.executable, partial_lakehouse.__file__, BRONZE_RULE_CHANGES.name],
        service_environment(
            platform,
            topic_prefix,
            **QUICK,
            CARDWATCH_LAKEHOUSE_TRIGGER="1s",
            CARDWATCH_LAKEHOUSE_TABLES_DIR=str(tmp_path / "tables"),
            CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR=str(tmp_path / "checkpoints"),
        ),
        tmp_path / "lakehouse.log",
        wait_seconds=WAIT_SECONDS,
    )
    yield process
    process.kill()


@pytest.fixture
def cardwatch(platform: Platform, topic_prefix: str) -> Callable[..., Result]:
    env = {**platform.environment(), "CARDWATCH_TOPIC_PREFIX": topic_prefix}
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)], env=env)


@pytest.mark.timeout(600)
def test_the_chain_is_whole_after_kills_and_names_what_is_changed(
    changes: Changes, lakehouse: ServiceProcess, cardwatch: Callable[..., Result], tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    for files in MOMENTS:
        lakehouse.start()
        # A file that was not there before the first changes of this life.
        lakehouse.wait_for(lakehouse.is_ready, "start")
        before = set(tmp_path.glob(files))
        changes.make()
        wait_until(lambda files=files, before=before: set(tmp_path.glob(files)) > before, files, poll_seconds=0.005)
        lakehouse.kill()
        changes.make()
    lakehouse.start()
    lakehouse.wait_for(lambda: rows_of(tables) >= changes.sent, "rows")
    changes.make()
    lakehouse.wait_for(lambda: rows_of(tables) >= changes.sent, "more rows")
    lakehouse.stop()

    assert rows_of(tables) == changes.sent
    heads = tmp_path / "heads.json"
    whole = cardwatch("audit", "verify", "--tables-dir", tables, "--copied-within", "1s", "--save-heads", heads)
    assert (whole.exit_code, whole.output.count(changes.topics.prefix)) == (0, len(AUDITED_TOPICS)), whole.output
    history = cardwatch("rules", "history", "spree", "--tables-dir", tables)
    assert history.exit_code == 0
    assert history.output.count("User:anna") == changes.sent // 5

    # Without the table's property nothing refuses these changes; the chain shows them.
    rows = DeltaTable(BRONZE_RULE_CHANGES.path(str(tables))).to_pyarrow_table()
    victim = next(link for link in read_links(Catalog(str(tables))) if link.content.offset == 4)
    is_victim = pc.and_(pc.equal(rows["hash"], victim.hash), pc.equal(rows["offset"], 4))
    for name, changed in {
        "removed": rows.filter(pc.invert(is_victim)),
        "altered": rows.set_column(4, "key", pc.if_else(is_victim, b"other", rows["key"])),
    }.items():
        write_deltalake(BRONZE_RULE_CHANGES.path(str(tmp_path / name)), changed)
        result = cardwatch("audit", "verify", "--tables-dir", tmp_path / name, "--no-topics")
        place = f"{victim.content.topic}, partition 0, offset {5 if name == 'removed' else 4}: {name}"
        assert (result.exit_code, place in result.output) == (1, True), result.output
    found = cardwatch("audit", "verify", "--tables-dir", tmp_path / "altered", "--heads", heads)
    assert f"{victim.content.topic}, partition 0, offset 4: differs from the topic" in found.output


def rows_of(tables: Path) -> int:
    """The number of rows so far."""
    path = Path(BRONZE_RULE_CHANGES.path(str(tables)))
    return DeltaTable(path).count() if (path / "_delta_log").is_dir() else 0


@pytest.mark.parametrize("topic", AUDITED_TOPICS, ids=lambda topic: topic.base_name)
def test_a_tombstone_removes_nothing(topic: Any, changes: Changes, platform: Platform) -> None:
    """The broker has the settings that make it so; what it would remove with others, it removes after hours only."""
    from confluent_kafka.admin import AdminClient, ConfigResource

    name = topic.name(changes.topics.prefix)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    admin = AdminClient({"bootstrap.servers": platform.bootstrap_servers})
    (described,) = admin.describe_configs([resource]).values()
    settings = {key: entry.value for key, entry in described.result(20).items()}
    assert settings["cleanup.policy"] == "delete"
    assert (settings["retention.ms"], settings["retention.bytes"]) == ("-1", "-1")
    assert settings["message.timestamp.type"] == "LogAppendTime"
