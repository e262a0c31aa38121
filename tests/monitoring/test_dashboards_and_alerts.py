"""A real Prometheus scrapes a running pipeline: every panel's query returns data, and alerts fire with a real cause.

`make test-observability`, apart from `make test`: it takes minutes.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import yaml
from cardwatch_cli.demo.pipeline import Pipeline, PipelineOptions
from cardwatch_cli.demo.service_process import ServiceProcess
from cardwatch_cli.demo.services import DETECTOR, ENRICHER, LAKEHOUSE, NOTIFIER, base_environment, command
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_observability.catalogue import LOADER, OURS, PRODUCER, all_metrics
from confluent_kafka import Producer
from deltalake import DeltaTable, write_deltalake
from monitoring.panels import Question, questions
from monitoring.prometheus import ALERTMANAGER, DEPLOY, PROMETHEUS, Watch
from monitoring.snowflake_loader import Loader, loader
from monitoring.starved import starved
from support.postgres_server import PostgresServer, server_or_skip

pytestmark = [pytest.mark.integration, pytest.mark.observability, pytest.mark.timeout(900)]

REPOSITORY: Final = Path(__file__).parents[2]
SETTINGS: Final = {
    # Transactions of two hours ago have to find their merchant's group gone.
    "CARDWATCH_DETECTOR_LATENESS": "1m",
    "CARDWATCH_DETECTOR_HORIZON_MERCHANT": "10m",
    # No rule is over its time budget because the machine is busy.
    "CARDWATCH_DETECTOR_RULE_BUDGET_SECONDS": "60",
    # One refusal, and a message is parked.
    "CARDWATCH_NOTIFIER_REJECTED_ATTEMPTS": "1",
    "CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS": "2",
    "CARDWATCH_NOTIFIER_RETRY_LONGEST_SECONDS": "3",
    "CARDWATCH_LAKEHOUSE_TRIGGER": "5s",
    "CARDWATCH_LAKEHOUSE_VELOCITY_TRIGGER": "10s",
    "CARDWATCH_LAKEHOUSE_PROFILES_TRIGGER": "10s",
    "CARDWATCH_LAKEHOUSE_UPKEEP_EVERY": "20s",
    "CARDWATCH_LAKEHOUSE_AUDIT_CHECK_EVERY": "20s",
    "CARDWATCH_LAKEHOUSE_MINUTES": "false",
}
SIMULATION: Final = (
    "simulate", "--rate", "50", "--duration", "0", "--fraud-fraction", "0.1", "--json-fraction", "0.1",
)  # fmt: skip

SETTLE_SECONDS: Final = 600.0

SHADOW_RULE: Final = """
  - id: any-two
    version: 1
    title: Two payments with one card within an hour
    scope: card
    severity: low
    mode: shadow
    measures:
      payments: {window: 1h, is: count(*)}
    when: payments >= 2
"""
BROKEN_RULE: Final = """
- id: too-long
  title: Longer than what the state keeps
  scope: card
  measures: {payments: {window: 7d, is: count(*)}}
  when: payments >= 3
"""

# Windows and thresholds of hours and minutes, made short.
CHANGES: Final = {
    # A minute beside the three before it.
    "CardwatchAlertFlood": {
        "[1d] offset 10m": "[3m] offset 1m",
        "[10m]": "[1m]",
        "offset 1d": "offset 2m",
        "10 *": "3 *",
    },
    "CardwatchFailuresPersist": {"[5m]": "[30s]"},
    "CardwatchNoTransactions": {"[10m]": "[15s]"},
    "CardwatchLakehouseLag": {"> 600": "> 20"},
    # Maintenance joins a day's files when there are sixteen; until it looks, there may be four more.
    "CardwatchManyFiles": {"> 200": "> 20"},
    "CardwatchSnowflakeBehind": {"> 900": "> 20"},
}


@dataclass
class Watched:
    """The pipeline, its monitoring, and a second enricher.

    Attributes:
        settled_at: when all of it should have done some work, by time.monotonic.
        seen: the alerts that have fired so far.
    """

    line: Pipeline
    watch: Watch
    second_enricher: ServiceProcess
    loader: Loader
    postgres: PostgresServer
    settled_at: float = 0.0
    seen: set[tuple[str, str]] = field(default_factory=set)

    def fire(self, *alerts: tuple[str, str], seconds: float = 150) -> None:
        """Wait until all of these alerts fire at once."""
        self.watch.until(
            lambda: set(alerts) <= self.watch.firing(),
            lambda: f"no {sorted(set(alerts) - self.watch.firing())}",
            seconds,
        )
        self.seen |= self.watch.firing()

    def wait_until_over(self, *names: str) -> None:
        """Wait until no alert of these names fires."""
        self.watch.until(
            lambda: not {name for name, _ in self.watch.firing()} & set(names),
            lambda: f"still {self.watch.firing()}",
            200,
        )

    def simulate(self, *arguments: str) -> None:
        """Simulate other transactions."""
        self.line.stop_producer()
        self.line.start_producer(*SIMULATION, *arguments)
        assert self.line.producer is not None
        self.watch.scrape(PRODUCER, self.line.producer.metrics_port)


@pytest.fixture(scope="module")
def watched(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    for program in (PROMETHEUS, ALERTMANAGER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH; Debian has it in a package of that name")
    directory = tmp_path_factory.mktemp("watched")
    rules = directory / "rules.yaml"
    # Suppression of five minutes looks further back than a merchant's horizon here.
    demo = re.sub(r"^ +suppress: .*\n", "", (REPOSITORY / "config/rules/demo.yaml").read_text(), flags=re.M)
    rules.write_text(demo + SHADOW_RULE)
    with ExitStack() as running:
        postgres = running.enter_context(server_or_skip())
        outbox = {"CARDWATCH_NOTIFIER_OUTBOX_URL": postgres.url(postgres.new_database())}
        migrate = [command("cardwatch-notifier"), "outbox", "migrate"]
        subprocess.run(migrate, env={**os.environ, **outbox}, check=True)
        options = PipelineOptions(directory / "line", rules, "watched.", {**SETTINGS, **outbox})
        line = running.enter_context(Pipeline(platform, options))
        line.start()

        def service(of: str, **changes: Any) -> ServiceProcess:
            definition = replace(line.services[of].definition, **changes)
            log = options.data_dir / f"logs/{definition.name}.log"
            return ServiceProcess(definition, base_environment(platform, options.topic_prefix), log, options.data_dir)

        # Panels wait for the tables here.
        line.services[LAKEHOUSE] = service(LAKEHOUSE, background=False)
        line.services[LAKEHOUSE].start()
        line.wait_ready()
        own_name = {**line.services[ENRICHER].definition.env, "CARDWATCH_ENRICHER_INSTANCE_ID": "enricher-2"}
        second = service(ENRICHER, name="enricher-2", env=own_name)
        second.start()
        running.callback(lambda: second.kill() if second.running else None)
        watch = running.enter_context(Watch(directory / "watch", CHANGES))
        for job in (DETECTOR, LAKEHOUSE, NOTIFIER):
            watch.scrape(job, line.services[job].metrics_port)
        watch.scrape(ENRICHER, line.services[ENRICHER].metrics_port, second.metrics_port)
        fake = running.enter_context(loader(line.tables_dir))
        watch.scrape(LOADER, fake.port)
        whole = Watched(line, watch, second, fake, postgres)
        # The pipeline was last used days ago: its newest profiles are as old, until transactions of today arrive.
        for days in (9, 5):
            simulate_past(line, timedelta(days=days))
        whole.fire(("CardwatchProfilesOld", ""), seconds=240)
        whole.settled_at = time.monotonic() + SETTLE_SECONDS
        whole.simulate("--seed", "1", "--invalid-fraction", "0.02", "--late-fraction", "0.05", "--max-late", "10s")
        label_alerts(whole, platform)
        yield whole


def label_alerts(watched: Watched, platform: Any) -> None:
    """Label four alerts as an analyst would: three as fraud, one as legitimate."""
    line = watched.line
    watched.watch.until(
        lambda: len(line.receiver.unique_ids()) >= 4, lambda: f"only {len(line.receiver.unique_ids())} alerts", 120
    )
    ids = [alert["alert_id"] for alert in line.received_alerts()]
    for label, some in (("fraud", ids[:3]), ("legitimate", ids[3:4])):
        subprocess.run(
            [command("cardwatch"), "alerts", "label", *some, "--as", label, "--by", "anna"],
            env={**os.environ, **platform.environment(), "CARDWATCH_TOPIC_PREFIX": line.options.topic_prefix},
            check=True,
        )


@pytest.mark.parametrize("question", questions(), ids=str)
def test_every_panel_has_data(watched: Watched, question: Question) -> None:
    # The first ones wait until the pipeline runs, and what they wait for is there for the others too.
    watched.watch.until(
        lambda: watched.watch.ask(question.expression),
        lambda: f"{question} has no data: {question.expression}",
        max(5.0, watched.settled_at - time.monotonic()),
    )


def test_every_scraped_metric_is_in_the_catalogue(watched: Watched) -> None:
    known = {name for metric in all_metrics().values() for name in metric.series}
    # The client adds a series with the creation time to each counter.
    scraped = {name for name in watched.watch.series() if name.startswith(OURS) and not name.endswith("_created")}
    assert scraped - known == set()
    # Metrics without a series until something goes wrong.
    assert {name for name in known - scraped if name.startswith(OURS)} <= {
        "cardwatch_errors_total",
        "cardwatch_late_transactions_total",
        "cardwatch_lakehouse_upkeep_failures_total",
        "cardwatch_lakehouse_upkeep_partitions_total",
        "cardwatch_loader_failures_total",
        "cardwatch_rules_set_aside_total",
        "cardwatch_spark_query_restarts_total",
        "cardwatch_trace_spans_total",  # traces are off
    }


def test_nothing_fires_without_a_cause(watched: Watched) -> None:
    # A pipeline that has just started is slow for a moment, which violates objectives, and has more alerts than before;
    # and
    # of the lakehouse's lag only 20 s are allowed here.
    excused = {
        "CardwatchAlertFlood",
        "CardwatchErrorBudgetBurnsFast",
        "CardwatchErrorBudgetBurnsSlowly",
        "CardwatchLakehouseLag",
    }
    assert {name for name, _ in watched.watch.firing()} - excused == set()


def test_alerts_fire_when_their_cause_is_real(watched: Watched) -> None:
    line, watch, fire = watched.line, watched.watch, watched.fire
    watched.wait_until_over("CardwatchAlertFlood")
    # Files of a table are gone, so that maintenance cannot join any of that day; somebody has added to the audit trail;
    # and there is six times as much fraud.
    lose_files(line.tables_dir / "bronze/transactions")
    repeat_row(line.tables_dir / "bronze/rule_changes")
    watched.simulate("--seed", "4", "--rate", "300")
    fire(("CardwatchAlertFlood", "card-velocity"), ("CardwatchAuditTrailBroken", "lakehouse"))

    # The webhook does not answer, transactions of two hours ago come, a third of the messages is spoilt, a rule is
    # broken, a replica dies, and there is a message with a schema that nobody knows.
    line.receiver.delay_seconds = 5
    line.stop_producer()
    simulate_past(line, timedelta(hours=2))
    watched.simulate("--seed", "2", "--invalid-fraction", "0.3")
    apply_rule(line, BROKEN_RULE)
    watched.second_enricher.kill()
    fire(("CardwatchReplicaDown", "enricher"), ("CardwatchRuleSetAside", "detector"))
    # The first stops the query; the plan after that skips such messages, until a new version is registered.
    for number, restart in ((1, send_unknown_schema), (2, register_version)):
        restart(line)
        watch.until(
            lambda number=number: watch.ask("sum(cardwatch_spark_query_restarts_total) or vector(0)")[0][1] >= number,  # type: ignore[misc]
            lambda: "the query was not started again",
            150,
        )
    query = "detector velocity-card-merchant"
    fire(("CardwatchManyRefusals", ""), ("CardwatchQueryRestarts", query), ("CardwatchLateTransactions", "merchant"))
    fire(("CardwatchUpkeepFails", "bronze.transactions"), ("CardwatchManyFiles", "bronze.transactions"), seconds=240)

    # Nobody enriches any more, and nothing goes to Snowflake.
    line.kill(ENRICHER)
    watched.loader.stop()
    fire(
        ("CardwatchServiceDown", "enricher"),
        ("CardwatchConsumerLag", "enricher"),
        ("CardwatchDeliveriesWait", "webhook"),
        ("CardwatchSnowflakeBehind", "gold.alerts"),
        ("CardwatchErrorBudgetBurnsFast", "lag"),
        ("CardwatchErrorBudgetBurnsSlowly", "lag"),  # its days, too, are the minutes that there are
        seconds=200,
    )
    states = watch.at_alertmanager()
    assert states["CardwatchServiceDown", "enricher"] == "active"
    assert states["CardwatchConsumerLag", "enricher"] == "suppressed", "the service that is down explains it"

    # All is well again ...
    line.receiver.delay_seconds = 0
    line.restart(ENRICHER)
    watched.wait_until_over("CardwatchConsumerLag", "CardwatchDeliveriesWait")
    # ... until the registry has lost the alerts' schema ...
    alerts, registry_url = ALERTS.subject(line.options.topic_prefix), line.platform.registry_url
    delete = urllib.request.Request(f"{registry_url}/subjects/{alerts}", method="DELETE")
    urllib.request.urlopen(delete, timeout=30).close()
    line.kill(NOTIFIER)  # it knew the schema
    line.restart(NOTIFIER)
    fire(("CardwatchRegistryOutage", f"notifier {alerts}"))
    ConfluentRegistry(registry_url).register(alerts, "alert")
    watched.wait_until_over("CardwatchRegistryOutage")
    # ... the outbox's database is away, then the detector hardly gets the processor ...
    watched.postgres.kill()
    fire(("CardwatchOutboxUnavailable", ""), ("CardwatchFailuresPersist", "notifier outbox"))
    watched.postgres.start()
    with starved(javas(line.services[DETECTOR])):
        fire(("CardwatchSlowBatches", "velocity-card-merchant"))
    watched.wait_until_over("CardwatchOutboxUnavailable", "CardwatchSlowBatches")
    # ... the webhook refuses forty messages for good, and the tables are not written any more.
    line.receiver.fail_next(40, 400)
    line.kill(LAKEHOUSE)
    fire(("CardwatchDeliveriesGivenUp", "webhook"), ("CardwatchErrorBudgetBurnsFast", "delivery"))
    line.receiver.fail_next(1, 410)
    fire(
        ("CardwatchReceiverSwitchedOff", "webhook"),
        ("CardwatchServiceDown", "lakehouse"),
        ("CardwatchLakehouseLag", "lakehouse"),
    )
    line.stop_producer()
    fire(("CardwatchNoTransactions", ""))

    every = {rule["alert"] for group in alert_rules()["groups"] for rule in group["rules"]}
    assert {name for name, _ in watched.seen} == every


def javas(service: ServiceProcess) -> list[int]:
    """The pids of a service's Java processes; its Python process still serves metrics while they are paused."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [child.pid for child in children if child.name() == "java"]


def simulate_past(line: Pipeline, ago: timedelta) -> None:
    """Five seconds of transactions that happened so long ago."""
    start = (datetime.now(UTC) - ago).isoformat(timespec="seconds")
    seed = str(int(ago.total_seconds()))
    line.start_producer("simulate", "--rate", "100", "--duration", "5s", "--seed", seed, "--start-time", start)
    line.wait_produced(120)


def lose_files(table: Path) -> None:
    """Delete the files of a table's newest version."""
    for path in DeltaTable(str(table)).file_uris():
        Path(path).unlink()


def repeat_row(table: Path) -> None:
    """Append a row of a table to it once more."""
    write_deltalake(table, DeltaTable(table).to_pyarrow_table().slice(0, 1), mode="append")


def apply_rule(line: Pipeline, text: str) -> None:
    path = line.options.data_dir / "broken.yaml"
    path.write_text(text)
    line.apply_rules(path)


def send_unknown_schema(line: Pipeline) -> None:
    producer = Producer({"bootstrap.servers": line.platform.bootstrap_servers})
    producer.produce(TRANSACTIONS_SILVER.name(line.options.topic_prefix), struct.pack(">bI", 0, 900_001) + b"x", b"k")
    assert producer.flush(30) == 0


def register_version(line: Pipeline) -> None:
    """Register a further version of the silver messages' schema."""
    text = json.dumps(json.loads(schema_text("enriched_transaction")) | {"doc": "A version of a test."})
    subject = TRANSACTIONS_SILVER.subject(line.options.topic_prefix)
    ConfluentRegistry(line.platform.registry_url).register(subject, "enriched_transaction", text)


def alert_rules() -> Any:
    return yaml.safe_load((DEPLOY / "prometheus/rules/alerts.yml").read_text())
