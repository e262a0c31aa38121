"""Alerts' latency of a detector whose windows are full.

Writes an hour of silver transactions, goes on at the same rate, starts the detector, waits until it has caught up, and
measures then: from the time at which the broker had the raw transaction to the time at which it had the alert.

    python benchmarks/steady_state.py --rate 1000 --rates 3000
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import tests_on_path  # noqa: F401 - makes support importable
from cardwatch_cli.demo.results import percentile
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_kafka.setup import apply_all
from cardwatch_platform import EmbeddedPlatform
from cardwatch_service.tables import print_table
from confluent_kafka import Consumer, TopicPartition
from detector_process import DETECTOR, DetectorProcess, detector, end_offsets, wait_for
from silver_load import HOT_MERCHANT, SECOND_US, Population, SilverLoad

RULES: Final = Path(__file__).with_name("steady_rules.yaml")
RESULTS: Final = Path(__file__).with_name("results")
SCOPES: Final = "card,merchant,device,ip,bin"
_CARDS_PER_RATE: Final = 100  # with a fixed number of cards, more traffic would mean more alerts for each transaction
_TICK_SECONDS: Final = 0.01
_DISORDER_SECONDS: Final = 0.1
_CATCH_UP_SECONDS: Final = 3600
_SETTLE_SECONDS: Final = 20
_MOST_BEHIND_SECONDS: Final = 3
_LAST_ALERTS_SECONDS: Final = 10


def send(make: Callable[[], SilverLoad], begin_us: int, rate: int, stop: Any, sent: Any) -> None:
    """Send transactions with event times from ``begin_us`` on, at first as fast as possible, then as time passes."""
    load, draw = make(), random.Random(11)
    at, step = float(begin_us), SECOND_US / rate
    while not stop.is_set():
        now = time.time_ns() // 1000
        while at <= now and not stop.is_set():
            late = abs(draw.gauss(0, _DISORDER_SECONDS)) * SECOND_US
            load.send(int(at - late), int(at))
            at += step
            sent.value += 1
            if not sent.value % 1000:
                load.poll()
        load.poll()
        time.sleep(_TICK_SECONDS)
    load.flush()


def measure(run: DetectorProcess, bootstrap: str, prefix: str, decode: Decoder, seconds: float) -> dict[str, Any]:
    """Watch a detector that has caught up."""
    silver, alerts = TRANSACTIONS_SILVER.name(prefix), ALERTS.name(prefix)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "benchmark", "enable.auto.commit": False})
    consumer.assign([TopicPartition(alerts, int(p), end) for p, end in end_offsets(bootstrap, alerts).items()])
    begin, used = time.time(), sum(run.processor_seconds().values())
    behind = [_behind(run, bootstrap, silver)]
    latencies: list[float] = []
    elsewhere: list[float] = []
    end = begin + seconds
    while time.time() < end + _LAST_ALERTS_SECONDS:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            record = decode(message.value())
            if begin * SECOND_US <= record["raw_broker_time"] < end * SECOND_US:
                latencies.append(message.timestamp()[1] - record["raw_broker_time"] / 1000)
                if record["merchant_id"] != HOT_MERCHANT:
                    elsewhere.append(latencies[-1])
        if time.time() - begin > seconds * len(behind) / 4 and len(behind) <= 4:
            behind.append(_behind(run, bootstrap, silver))
    consumer.close()
    used = sum(run.processor_seconds().values()) - used
    return {
        "alerts": len(latencies),
        **{f"p{percent}_ms": _rounded(percentile(sorted(latencies), percent)) for percent in (50, 95, 99)},
        **{f"elsewhere_p{percent}_ms": _rounded(percentile(sorted(elsewhere), percent)) for percent in (50, 99)},
        "behind": behind,
        "cores": round(used / (time.time() - begin), 2),
        "resident_mb": run.resident_bytes() // 2**20,
        "checkpoint_mb": run.checkpoint_bytes() // 2**20,
    }


def _behind(run: DetectorProcess, bootstrap: str, topic: str) -> int:
    """How many messages the detector has not committed yet."""
    return sum(end_offsets(bootstrap, topic).values()) - run.committed(topic)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def one_run(args: argparse.Namespace, platform: EmbeddedPlatform, program: Path, rate: int) -> dict[str, Any]:
    """One detector over a full history at one rate."""
    bootstrap, registry = platform.bootstrap_servers, platform.registry_url
    prefix = f"steady{os.getpid()}-{time.monotonic_ns()}."
    apply_all(bootstrap, registry, prefix)
    decode = Decoder("alert", ConfluentRegistry(registry), ALERTS.subject(prefix))
    population = Population(cards=rate * _CARDS_PER_RATE, hot_share=args.hot_share)
    stop, sent = multiprocessing.Event(), multiprocessing.Value("q", 0, lock=False)
    history = args.history_minutes * 60 * rate
    begin_us = time.time_ns() // 1000 - args.history_minutes * 60 * SECOND_US
    arguments = (lambda: SilverLoad(bootstrap, registry, prefix, population), begin_us, rate, stop, sent)
    sender = multiprocessing.get_context("fork").Process(target=send, args=arguments, daemon=True)
    sender.start()
    try:
        while sent.value < history:
            time.sleep(1)
        environment = {
            **platform.environment(),
            "CARDWATCH_TOPIC_PREFIX": prefix,
            "CARDWATCH_DETECTOR_RULES": str(args.rules),
            "CARDWATCH_DETECTOR_SCOPES": args.scopes,
            "CARDWATCH_DETECTOR_HORIZON_CARD": "1h",
            "CARDWATCH_DETECTOR_LATENESS": "10m",
            "CARDWATCH_SPARK_DRIVER_MEMORY": args.driver_memory,
        }
        with detector(environment, program) as run:
            started = time.monotonic()
            topic = TRANSACTIONS_SILVER.name(prefix)
            wait_for(run, topic, history, _CATCH_UP_SECONDS)
            caught_up = time.monotonic() - started
            while _behind(run, bootstrap, topic) > _MOST_BEHIND_SECONDS * rate:
                if time.monotonic() - started > caught_up + args.seconds + _SETTLE_SECONDS:
                    break  # it does not keep up: the figures will say how far it stays behind
                time.sleep(1)
            time.sleep(_SETTLE_SECONDS)
            figures = measure(run, bootstrap, prefix, decode, args.seconds)
        return {"history": history, "catching_up_s": round(caught_up), **figures}
    finally:
        stop.set()
        sender.join(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000], help="transactions per second")
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure")
    parser.add_argument("--history-minutes", type=int, default=60, help="how much is there before")
    parser.add_argument("--scopes", default=SCOPES)
    parser.add_argument("--rules", type=Path, default=RULES)
    parser.add_argument(
        "--hot-share", type=float, default=0.0, help="share of all transactions that is at one merchant"
    )
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--driver-memory", default="4g")
    parser.add_argument(
        "--detector", nargs="+", default=[f"this={DETECTOR}"], metavar="NAME=PROGRAM", help="to compare, in turn"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "steady_state.json")
    args = parser.parse_args()
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as home, EmbeddedPlatform(home=Path(home)) as platform:
        for _ in range(args.repetitions):
            for rate in args.rates:
                for named in args.detector:
                    name, _, program = named.partition("=")
                    figures = one_run(args, platform, Path(program), rate)
                    print(json.dumps({"detector": name, "rate": rate, **figures}), flush=True)
                    found.setdefault((name, rate), []).append(figures)
    rows = [
        [
            name,
            f"{rate:,}",
            *(_median(runs, column) for column in ("p50_ms", "p95_ms", "p99_ms", "cores", "resident_mb")),
        ]
        for (name, rate), runs in found.items()
    ]
    print_table(["detector", "tx/s", "p50 ms", "p95 ms", "p99 ms", "cores", "MB"], rows)
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(
        json.dumps([{"detector": n, "rate": r, "runs": runs} for (n, r), runs in found.items()], indent=2) + "\n"
    )


def _median(runs: Sequence[dict[str, Any]], column: str) -> str:
    values = [run[column] for run in runs if run[column] is not None]
    return f"{statistics.median(values):,}" if values else "–"


if __name__ == "__main__":
    main()
