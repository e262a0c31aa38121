"""The lakehouse's speed: catching up with full topics, keeping up with 5,000 transactions/s, and its effect on alerts.

Three parts, each on the embedded platform and in scratch directories that are gone afterwards:

    catch-up   transactions wait in the topics, then the lakehouse starts: rows/s of every query, tables counted
    sustained  transactions arrive at a fixed rate: the backlog must not grow; files per table
    beside     the whole pipeline at a lower rate, alternately with and without the lakehouse: ratio of the p99
        latencies

    python benchmarks/lakehouse_throughput.py
    python benchmarks/lakehouse_throughput.py catch-up --transactions 200000
    python benchmarks/lakehouse_throughput.py beside --repetitions 5 --report report.json
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from cardwatch_cli.demo.pipeline import Pipeline, PipelineOptions
from cardwatch_cli.demo.probes import Probe
from cardwatch_cli.demo.results import percentile
from cardwatch_cli.demo.services import LAKEHOUSE, NOTIFIER, base_environment, command
from cardwatch_cli.demo.topics import open_reader
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_LATE, TRANSACTIONS_RAW
from cardwatch_contracts.topics import TRANSACTIONS_SILVER as SILVER_TOPIC
from cardwatch_contracts.wire import Decoder
from cardwatch_kafka.setup import apply_all
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import (
    BRONZE_LATE,
    BRONZE_TRANSACTIONS,
    GOLD_ALERTS,
    GOLD_VELOCITY_5M,
    SILVER_TRANSACTIONS,
)
from cardwatch_platform import EmbeddedPlatform
from cardwatch_platform.ports import free_port
from cardwatch_platform.processes import GuardedProcess, log_tail
from confluent_kafka import Consumer, TopicPartition
from detector_process import processor_seconds
from lakehouse_load import SECOND_US, Load, Sent, paced
from rich.console import Console
from rich.table import Table as Shown

TOPICS = (TRANSACTIONS_RAW, TRANSACTIONS_JSON, SILVER_TOPIC, TRANSACTIONS_LATE, ALERTS)
RULES = Path(__file__).parents[1] / "config/rules/demo.yaml"
# A rule that raises enough alerts for a p99.
MORE_ALERTS = """
  - id: latency-probe
    version: 1
    title: A payment above 200 euros
    scope: card
    severity: info
    mode: shadow
    measures: {payments: {window: 1h, is: count(*)}}
    when: payments >= 1 and base_amount_minor > 20000
"""
STALL_SECONDS = 300.0
ROWS_TOTAL = "cardwatch_spark_input_rows_total"
BATCHES_TOTAL = "cardwatch_spark_batches_total"
PHASE_SECONDS = "cardwatch_spark_batch_duration_seconds"
RATE_WANTED = 5_000
RATIO_WANTED = 1.20

out = Console(stderr=True)


@dataclass
class Query:
    """The metrics of one query so far.

    Attributes:
        rows: number of rows read.
        batches: number of micro-batches with rows.
        at: when the last of them was seen, seconds after the start.
        phases: seconds of the last one, by phase.
    """

    rows: int = 0
    batches: int = 0
    at: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)


class Lakehouse:
    """The service as a process, with its own tables."""

    def __init__(self, platform: EmbeddedPlatform, prefix: str, directory: Path, settings: Mapping[str, str]) -> None:
        self.tables_dir = directory / "tables"
        self.log = directory / "lakehouse.log"
        self.queries: dict[str, Query] = {}
        self.started = time.monotonic()
        port = free_port()
        environment = {
            **base_environment(platform, prefix),
            "CARDWATCH_METRICS_PORT": str(port),
            "CARDWATCH_LAKEHOUSE_TABLES_DIR": str(self.tables_dir),
            "CARDWATCH_LAKEHOUSE_CHECKPOINT_DIR": str(directory / "checkpoints"),
            **settings,
        }
        self.probe = Probe(port)
        argv = (command("cardwatch-detector"), "lakehouse")
        self.process = GuardedProcess(LAKEHOUSE, argv, environment, self.log, cwd=directory).start()

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def look(self) -> dict[tuple[str, int], int]:
        """Read the metrics page; returns the positions in the topics."""
        if self.process.poll() is not None:
            raise SystemExit(f"the lakehouse has ended:\n{log_tail(self.log)}")
        for sample in self.probe.samples():
            if sample.name not in {ROWS_TOTAL, BATCHES_TOTAL, PHASE_SECONDS}:
                continue
            query = self.queries.setdefault(sample.labels["query"], Query())
            if sample.name == ROWS_TOTAL and query.rows != sample.value:
                query.rows, query.at = int(sample.value), self.seconds()
            elif sample.name == BATCHES_TOTAL:
                query.batches = int(sample.value)
            elif sample.name == PHASE_SECONDS:
                query.phases[sample.labels["phase"]] = sample.value
        return self.probe.positions()

    def processor_seconds(self) -> float:
        """The processor time of the service with its JVM and Python workers so far."""
        return round(sum(processor_seconds(self.process.pid).values()), 1)

    def stop(self) -> None:
        """Stop the service, and wait until it has ended."""
        self.process.terminate(60)
        self.probe.close()


@contextmanager
def lakehouse(platform: EmbeddedPlatform, prefix: str, settings: Mapping[str, str]) -> Iterator[Lakehouse]:
    """Run a lakehouse on its own deployment."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as scratch:
        running = Lakehouse(platform, prefix, Path(scratch), settings)
        try:
            yield running
        finally:
            running.stop()


def catch_up(args: argparse.Namespace, platform: EmbeddedPlatform) -> dict[str, Any]:
    """Rows per second of each query, from its first micro-batch's start to its last one's end, and of all queries."""
    prefix = f"catchup{os.getpid()}."
    apply_all(platform.bootstrap_servers, platform.registry_url, prefix)
    load = Load(platform.bootstrap_servers, platform.registry_url, prefix)
    out.print(f"catch-up: sending {args.transactions:,} transactions to the topics")
    begin_us = time.time_ns() // 1000 - args.transactions * SECOND_US // RATE_WANTED
    for number in range(args.transactions):
        load.send(begin_us + number * SECOND_US // RATE_WANTED)
    sent = load.finish()
    # By default, finished windows are computed only every ten minutes; the benchmark waits for them.
    chosen = {"CARDWATCH_LAKEHOUSE_VELOCITY_LATE_TRIGGER": "1m", **settings(args)}
    with closing(open_reader(platform.bootstrap_servers)) as topics, lakehouse(platform, prefix, chosen) as run:
        ends = topics.end_offsets(*(topic.name(prefix) for topic in TOPICS))
        ready = drained = 0.0
        while not (drained and run.seconds() > max(drained, *(one.at for one in run.queries.values())) + args.settle):
            time.sleep(0.25)
            positions = run.look()
            if not ready and not run.probe.not_ready_because():
                ready = run.seconds()
            if not drained and all(positions.get(partition, 0) >= end for partition, end in ends.items()):
                drained = run.seconds()
            verbose(args, run)
            newest = max((one.at for one in run.queries.values()), default=0.0)
            if not drained and run.seconds() - newest > STALL_SECONDS:
                raise SystemExit(f"the lakehouse makes no progress:\n{log_tail(run.log)}")
        used = run.processor_seconds()
        queries = {
            name: {
                "rows": one.rows,
                "micro_batches": one.batches,
                "seconds": round(one.at - ready, 1),
                "rows_per_second": round(one.rows / (one.at - ready)),
            }
            for name, one in sorted(run.queries.items())
            if one.rows
        }
        run.stop()
        wrong = [*check(run.tables_dir, sent), *check_windows(run.tables_dir, sent)]
        files = table_files(run.tables_dir)
    last = max(drained, *(one.at for one in run.queries.values()))
    rate = round(sent.transactions / (last - ready))
    of_topics = round(sent.transactions / (drained - ready))
    show_queries(queries)
    figures = {
        "sent": asdict(sent),
        "seconds_to_ready": round(ready, 1),
        "seconds_from_ready_to_drained_topics": round(drained - ready, 1),
        "seconds_from_ready_to_last_micro_batch": round(last - ready, 1),
        "transactions_per_second_from_topics": of_topics,
        "transactions_per_second": rate,
        "processor_seconds": used,
        "queries": queries,
        "files": files,
        "tables_wrong": wrong,
        "passed": rate >= RATE_WANTED and not wrong,
    }
    report_result(
        figures["passed"],
        f"catch-up: {rate:,} transactions/s into every table ({RATE_WANTED:,} wanted), {of_topics:,} into those "
        f"that are written from topics; {used / 60:.1f} minutes of processor time",
        *(f"tables: {text}" for text in wrong),
    )
    return figures


def sustained(args: argparse.Namespace, platform: EmbeddedPlatform) -> dict[str, Any]:
    """The backlog over time, while transactions arrive at a fixed rate."""
    prefix = f"sustained{os.getpid()}."
    apply_all(platform.bootstrap_servers, platform.registry_url, prefix)
    load = Load(platform.bootstrap_servers, platform.registry_url, prefix)
    samples: list[dict[str, Any]] = []
    with closing(open_reader(platform.bootstrap_servers)) as topics, lakehouse(platform, prefix, settings(args)) as run:
        while run.probe.not_ready_because():
            run.look()
            time.sleep(0.5)
        out.print(f"sustained: {args.rate:,} transactions/s for {args.seconds} s")
        sender = threading.Thread(
            target=lambda: [load.send(now_us) for now_us in paced(args.rate, args.seconds)], daemon=True
        )
        begin, used = time.monotonic(), run.processor_seconds()
        sender.start()
        while sender.is_alive():
            sender.join(5.0)
            positions = run.look()
            ends = topics.end_offsets(*(topic.name(prefix) for topic in TOPICS))
            waiting: dict[str, int] = {}
            for (topic, partition), end in ends.items():
                name = topic.removeprefix(prefix)
                waiting[name] = waiting.get(name, 0) + max(0, end - positions.get((topic, partition), 0))
            samples.append(
                {
                    "at": round(time.monotonic() - begin, 1),
                    "waiting": waiting,
                    "micro_batch_seconds": {
                        name: one.phases.get("triggerExecution", 0.0) for name, one in run.queries.items()
                    },
                }
            )
            verbose(args, run)
        produced = time.monotonic() - begin
        cores = (run.processor_seconds() - used) / produced
        sent = load.finish()
        ends = topics.end_offsets(*(topic.name(prefix) for topic in TOPICS))
        while not all(run.look().get(partition, 0) >= end for partition, end in ends.items()):
            if time.monotonic() - begin - produced > STALL_SECONDS:
                raise SystemExit(f"the lakehouse does not process all messages:\n{log_tail(run.log)}")
            time.sleep(0.25)
        drained = time.monotonic() - begin - produced
        run.stop()
        wrong = check(run.tables_dir, sent)
        files = table_files(run.tables_dir)
    thirds = {
        name: [statistics.fmean(sample["waiting"][name] for sample in part) for part in parts(samples)]
        for name in samples[0]["waiting"]
    }
    # A backlog has grown if it is larger by half than in the third before; the messages of one trigger always wait.
    growing = [
        name for name, (_, middle, last) in thirds.items() if last > 1.5 * middle and last > 20 * args.rate
    ]  # fmt: skip
    shown = Shown("topic", "waiting, 1st third", "2nd", "3rd", title="Mean backlog, messages")
    for name, means in thirds.items():
        shown.add_row(name, *(f"{mean:,.0f}" for mean in means))
    out.print(shown)
    show_files(files)
    rate = sent.transactions / produced
    figures = {
        "sent": asdict(sent),
        "transactions_per_second": round(rate),
        "waiting_by_third": {name: [round(mean) for mean in means] for name, means in thirds.items()},
        "seconds_to_drain": round(drained, 1),
        "cores_used": round(cores, 2),
        "files": files,
        "samples": samples,
        "tables_wrong": wrong,
        "passed": not growing and not wrong and rate > 0.95 * args.rate,
    }
    report_result(
        figures["passed"],
        f"sustained: {rate:,.0f} transactions/s, {cores:.2f} cores, drained {drained:.0f} s after the last one",
        *(f"the backlog grows on {name}" for name in growing),
        *(f"tables: {text}" for text in wrong),
    )
    return figures


def parts(samples: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The samples in three parts of equal length; the first part includes the warm-up."""
    third = max(1, len(samples) // 3)
    return [samples[:third], samples[third : 2 * third] or samples, samples[2 * third :] or samples]


def beside(args: argparse.Namespace, platform: EmbeddedPlatform) -> dict[str, Any]:
    """Alert latency of the whole pipeline, alternately without and with the lakehouse."""
    runs: list[dict[str, Any]] = []
    for repetition in range(args.repetitions):
        # Each variant comes first as often as second, so that a machine that warms up or fills favours neither.
        for with_lakehouse in (False, True) if repetition % 2 == 0 else (True, False):
            found = latencies(args, platform, f"beside{os.getpid()}x{len(runs)}.", with_lakehouse=with_lakehouse)
            runs.append({"lakehouse": with_lakehouse, "alerts": len(found), **quantiles(found)})
            out.print(f"beside: {runs[-1]}")
    shown = Shown("lakehouse", "alerts", "p50, s", "p90, s", "p99, s", title="Latency from broker to alert")
    for run in runs:
        shown.add_row(
            "yes" if run["lakehouse"] else "no",
            str(run["alerts"]),
            *(f"{run[name]:.3f}" for name in ("p50", "p90", "p99")),
        )
    out.print(shown)
    ratios = {
        name: round(
            statistics.median(run[name] for run in runs if run["lakehouse"])
            / statistics.median(run[name] for run in runs if not run["lakehouse"]),
            3,
        )
        for name in ("p50", "p90", "p99")
    }
    figures = {"runs": runs, "ratio_with_to_without": ratios, "passed": ratios["p99"] <= RATIO_WANTED}
    report_result(
        figures["passed"],
        f"beside: median p99 with the lakehouse is {ratios['p99']:.2f} times that without ({RATIO_WANTED:.2f} wanted); "
        f"p50 {ratios['p50']:.2f}, p90 {ratios['p90']:.2f}",
    )
    return figures


def latencies(
    args: argparse.Namespace, platform: EmbeddedPlatform, prefix: str, *, with_lakehouse: bool
) -> list[float]:
    """Seconds from the broker's time of the raw message to that of the alert, of one run, sorted."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as scratch:
        rules = Path(scratch) / "rules.yaml"
        rules.write_text(RULES.read_text() + MORE_ALERTS)
        without = {NOTIFIER} if with_lakehouse else {NOTIFIER, LAKEHOUSE}
        data_dir = Path(scratch) / "line"
        options = PipelineOptions(data_dir, rules, prefix, env=settings(args), without=frozenset(without))
        with Pipeline(platform, options) as line:
            line.start()
            line.wait_ready()
            if with_lakehouse:
                deadline = time.monotonic() + 240
                while line.services[LAKEHOUSE].probe.not_ready_because():
                    line.check_alive()
                    if time.monotonic() > deadline:
                        raise SystemExit("the lakehouse is not ready within 240 s")
                    time.sleep(0.5)
            line.start_producer("simulate", "--rate", str(args.beside_rate), "--duration", "0", "--seed", "7")
            time.sleep(args.warm_up)
            begin_us = time.time_ns() // 1000
            time.sleep(args.beside_seconds)
            line.check_alive()
            end_us = time.time_ns() // 1000
            line.stop_producer()
            time.sleep(3)
            line.stop()
        found = alert_latencies(platform, prefix, begin_us, end_us)
    if len(found) < 200:
        raise SystemExit(f"{len(found)} alerts are too few for a p99; run longer")
    return found


def alert_latencies(platform: EmbeddedPlatform, prefix: str, begin_us: int, end_us: int) -> list[float]:
    """The latencies of the alerts on raw messages that the broker appended in a time range."""
    decode = Decoder("alert", ConfluentRegistry(platform.registry_url), ALERTS.subject(prefix))
    with closing(open_reader(platform.bootstrap_servers)) as topics:
        ends = topics.end_offsets(ALERTS.name(prefix))
    consumer = Consumer({"bootstrap.servers": platform.bootstrap_servers, "group.id": f"bench{os.getpid()}"})
    found = []
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
        left = sum(ends.values())
        deadline = time.monotonic() + 60
        while left and time.monotonic() < deadline:
            for message in consumer.consume(min(left, 1000), timeout=1):
                left -= 1
                alert = decode(message.value())
                began = alert["raw_broker_time"]
                if begin_us <= began < end_us:
                    found.append(message.timestamp()[1] / 1e3 - began / 1e6)
    finally:
        consumer.close()
    return sorted(found)


def quantiles(found: list[float]) -> dict[str, float]:
    """Nearest-rank quantiles."""
    return {f"p{percent}": round(percentile(found, percent), 3) for percent in (50, 90, 99)}


def settings(args: argparse.Namespace) -> dict[str, str]:
    """Additional environment variables of the services."""
    return dict(one.split("=", 1) for one in args.set)


def check(tables_dir: Path, sent: Sent) -> list[str]:
    """The differences between the tables and the messages that were sent."""
    catalog = Catalog(str(tables_dir))
    wanted = {
        BRONZE_TRANSACTIONS.name: (sent.messages, "topic, partition, \"offset\""),
        SILVER_TRANSACTIONS.name: (sent.transactions, "transaction_id"),
        GOLD_ALERTS.name: (sent.alerts, "alert_id"),
        BRONZE_LATE.name: (sent.late, "transaction_id"),
    }  # fmt: skip
    wrong = []
    for name, (number, identity) in wanted.items():
        rows = catalog.open(name).to_pyarrow_dataset()
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            query = f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT {identity} FROM rows)) FROM rows"
            found = connection.execute(query).fetchone()
        if found != (number, number):
            wrong.append(f"{name} has {found[0]:,} rows, {found[1]:,} distinct ones; expected {number:,}")
    return wrong


def check_windows(tables_dir: Path, sent: Sent) -> list[str]:
    """Check that every transaction is in exactly one window of its card."""
    windows = Catalog(str(tables_dir)).open(GOLD_VELOCITY_5M.name).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("windows", windows)
        query = "SELECT coalesce(sum(transactions), 0)::BIGINT FROM windows WHERE dimension = 'card'"
        ((found,),) = connection.execute(query).fetchall()
    if found == sent.transactions:
        return []
    return [f"{GOLD_VELOCITY_5M.name} has {found:,} transactions of cards; expected {sent.transactions:,}"]


def table_files(tables_dir: Path) -> dict[str, dict[str, int]]:
    """Live files of each table, their mean size and the number of commits."""
    catalog = Catalog(str(tables_dir))
    return {
        name: {"files": one.files, "mean_kb": round(one.size / max(1, one.files) / 1024), "version": one.version}
        for name in catalog.names()
        for one in (catalog.summary(name),)
    }


def show_queries(queries: Mapping[str, Mapping[str, Any]]) -> None:
    shown = Shown("query", "rows", "micro-batches", "seconds", "rows/s", title="Readiness to last micro-batch")
    for name, one in queries.items():
        shown.add_row(
            name, f"{one['rows']:,}", str(one["micro_batches"]), str(one["seconds"]), f"{one['rows_per_second']:,}"
        )
    out.print(shown)


def show_files(files: Mapping[str, Mapping[str, int]]) -> None:
    shown = Shown("table", "live files", "mean KB", "version", title="Tables at the end")
    for name, one in files.items():
        shown.add_row(name, *(f"{one[what]:,}" for what in ("files", "mean_kb", "version")))
    out.print(shown)


def report_result(passed: bool, text: str, *complaints: str) -> None:
    out.print(f"[{'green' if passed else 'red'}]{'passed' if passed else 'FAILED'}[/] {text}")
    for complaint in complaints:
        out.print(f"       {complaint}")


def verbose(args: argparse.Namespace, run: Lakehouse) -> None:
    """Print the queries whose figures have changed."""
    if not args.verbose:
        return
    for name, one in run.queries.items():
        if one.at > getattr(run, "_shown", {}).get(name, 0.0):
            run._shown = {**getattr(run, "_shown", {}), name: one.at}  # type: ignore[attr-defined]
            phases = ", ".join(
                f"{phase} {seconds:.2f}" for phase, seconds in sorted(one.phases.items()) if seconds > 0.05
            )
            out.print(f"{one.at:7.1f} s  {name:22} {one.rows:>10,}  {phases}", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="catch-up, sustained, beside; all of them if none is named")
    parser.add_argument("--transactions", type=int, default=1_000_000, help="catch-up: how many")
    parser.add_argument(
        "--settle", type=float, default=75, help="catch-up: ends after so many seconds without progress"
    )
    parser.add_argument("--rate", type=int, default=RATE_WANTED, help="sustained: transactions/s")
    parser.add_argument("--seconds", type=int, default=240, help="sustained: for how long")
    parser.add_argument("--beside-rate", type=int, default=1_000, help="beside: transactions/s")
    parser.add_argument("--beside-seconds", type=int, default=120, help="beside: measured seconds per run")
    parser.add_argument("--warm-up", type=int, default=45, help="beside: warm-up seconds before the measurement")
    parser.add_argument("--repetitions", type=int, default=3, help="beside: number of runs with, and as many without")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the services")
    parser.add_argument("--report", type=Path, help="write all figures to this file, as JSON")
    parser.add_argument("--verbose", action="store_true", help="print each micro-batch and its phases")
    args = parser.parse_args()
    known = {"catch-up": catch_up, "sustained": sustained, "beside": beside}
    unknown = [part for part in args.parts if part not in known]
    if unknown:
        parser.error(f"unknown part {unknown[0]}; expected one of {', '.join(known)}")
    report: dict[str, Any] = {}
    for part in args.parts or known:
        # Each part has its own platform, so that messages of one part do not slow down the next.
        with (
            tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as home,
            EmbeddedPlatform(Path(home)) as platform,
        ):
            report[part] = known[part](args, platform)
        if args.report:
            args.report.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps({part: {**figures, "samples": None} for part, figures in report.items()}, indent=2))
    sys.exit(0 if all(figures["passed"] for figures in report.values()) else 1)


if __name__ == "__main__":
    main()
