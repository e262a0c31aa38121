"""Detector reading a full topic: transactions per second with 5 rules over 100,000 cards.

Fills a silver topic with Avro transactions, starts the real detector process on it, and measures the time from the
first committed micro-batch to the last, and from the start of the process to the last.

    python benchmarks/detector_throughput.py --transactions 1000000
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import tests_on_path  # noqa: F401 - makes support importable
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.setup import apply_all
from confluent_kafka import Producer
from detector_process import DETECTOR, detector, end_offsets, positions
from support.records import enriched_record

RULES = Path(__file__).with_name("five_rules.yaml")
SECONDS = 3600

# Ten kinds of rules that seldom match, so that the evaluation is measured and not the publishing of alerts.
KINDS = (
    ("n >= 13", "n: {{window: {w}, is: count(*), where: channel = 'pos'}}"),
    ("s > 180000", "s: {{window: {w}, is: sum(base_amount_minor), where: status = 'approved'}}"),
    ("c >= 3", "c: {{window: {w}, is: count(distinct country), where: channel = 'pos'}}"),
    ("d >= 3", "d: {{window: {w}, is: declines(*)}}"),
    ("n >= 5 and h > 4.5 * m", "n: {{window: {w}, is: count(*)}}, h: {{window: {w}, is: max(base_amount_minor)}}, "
     "m: {{window: {w}, is: mean(base_amount_minor)}}"),
    ("c >= 19", "c: {{window: {w}, is: count(distinct merchant_id)}}"),
    ("n >= 6 and d > 7500", "n: {{window: {w}, is: count(*)}}, d: {{window: {w}, is: stddev(base_amount_minor)}}"),
    ("s < 0.001", "s: {{window: {w}, is: seconds_since_previous(*)}}"),
    ("r > 6", "r: {{window: {w}, is: ratio_to_mean(base_amount_minor)}}"),
    ("b <> country and n >= 14", "b: {{window: {w}, is: previous(country)}}, n: {{window: {w}, is: count(*)}}"),
)  # fmt: skip
WINDOWS = ("1m", "2m", "5m", "10m", "15m", "20m", "30m", "45m", "50m", "1h")


def many_rules(number: int) -> str:
    """``count`` rules as YAML: the ten kinds, with one window after the other."""
    lines = []
    for at in range(number):
        when, measures = KINDS[at % 10]
        window = WINDOWS[(at + at // 10) % 10]
        lines.append(
            f"- {{id: r{at}, title: t, scope: card, when: '{when}', measures: {{{measures.format(w=window)}}}}}"
        )
    return "\n".join(lines) + "\n"


def transactions(number: int, cards: int, seed: int, start_us: int):
    """Silver transactions over one hour of event time, in order, cards drawn evenly."""
    draw = random.Random(seed)
    step = SECONDS * 1_000_000 // number
    for at in range(number):
        event_time = start_us + at * step
        country = "DE" if draw.random() < 0.97 else "FR"
        yield enriched_record(
            transaction_id=f"{seed:04x}{at:028x}",
            event_time=event_time,
            card_token=f"{draw.randrange(cards):032x}",
            amount_minor=draw.randrange(100, 20_000),
            merchant_id=f"m{draw.randrange(5_000)}",
            country=country,
            channel="pos" if draw.random() < 0.6 else "ecom",
            status="declined" if draw.random() < 0.05 else "approved",
            device_id=f"d{draw.randrange(50_000)}",
            latitude=52.5,
            longitude=13.4,
            hour_of_day=12,
            raw_topic="transactions.raw.v1",
            raw_offset=at,
        )


def fill(bootstrap: str, registry_url: str, prefix: str, number: int, cards: int) -> None:
    """Write the transactions to the silver topic, keyed by card."""
    apply_all(bootstrap, registry_url, prefix)
    schema_id = ConfluentRegistry(registry_url).id_of(TRANSACTIONS_SILVER.subject(prefix), "enriched_transaction")
    encode = Encoder("enriched_transaction", schema_id)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
        }
    )
    topic = TRANSACTIONS_SILVER.name(prefix)
    start_us = time.time_ns() // 1000 - SECONDS * 1_000_000
    for done, record in enumerate(transactions(number, cards, 7, start_us)):
        while True:
            try:
                producer.produce(topic, key=record["card_token"], value=encode(record))
                break
            except BufferError:
                producer.poll(0.5)
        if done % 10_000 == 0:
            producer.poll(0)
    producer.flush()


def run(args: argparse.Namespace, bootstrap: str, registry_url: str, environment: dict[str, str]) -> dict[str, float]:
    """Run the detector once; returns the figures."""
    prefix = args.prefix or f"bench{os.getpid()}."
    if not args.prefix:
        fill(bootstrap, registry_url, prefix, args.transactions, args.cards)
    topic = TRANSACTIONS_SILVER.name(prefix)
    ends = end_offsets(bootstrap, topic)
    settings = {
        **environment,
        "CARDWATCH_TOPIC_PREFIX": prefix,
        "CARDWATCH_DETECTOR_RULES": str(args.rules),
        "CARDWATCH_DETECTOR_SCOPES": args.scopes,
        "CARDWATCH_DETECTOR_HORIZON_CARD": "1h",
        "CARDWATCH_DETECTOR_LATENESS": "10m",
        "CARDWATCH_DETECTOR_TUNED_FOR": args.tuned_for,
        "CARDWATCH_DETECTOR_MAX_OFFSETS_PER_TRIGGER": str(args.batch),
        "CARDWATCH_DETECTOR_PARTITIONS": str(args.tasks),
        "CARDWATCH_SPARK_MASTER": f"local[{args.tasks}]",
        "CARDWATCH_SPARK_DRIVER_MEMORY": args.driver_memory,
    }
    begin = time.monotonic()
    with detector(settings, args.detector) as process:
        first: tuple[float, int] | None = None
        last = 0
        used: dict[str, float] = {}
        while process.running:
            time.sleep(0.1)
            page = process.metrics()
            at = positions(page, topic)
            done = sum(at.values())
            if done != last:
                last = done
                used = process.processor_seconds()
                if args.verbose:
                    phases = dict(
                        re.findall(r'batch_duration_seconds{phase="(\w+)",query="velocity-[a-z-]+"} (\S+)', page)
                    )
                    print(f"{time.monotonic() - begin:6.1f} s  {done:>9,}  {used} {phases}", file=sys.stderr)
            if first is None and done:
                first = (time.monotonic(), done)
            if len(at) == len(ends) and all(at[p] >= end for p, end in ends.items()):
                break
        finish = time.monotonic()
        if first is None or last < sum(ends.values()):
            raise SystemExit(f"the detector ended early:\n{process.log}")
    total = sum(ends.values())
    return {
        "transactions": total,
        "alerts": sum(end_offsets(bootstrap, ALERTS.name(prefix)).values()),
        "seconds_with_start": round(finish - begin, 1),
        "per_second_with_start": round(total / (finish - begin)),
        "per_second_after_first_batch": round((total - first[1]) / (finish - first[0])),
        "processor_seconds": used,
    }


def compare(args: argparse.Namespace, platform) -> dict[str, object]:
    """Compare 10 rules with 100, on the same transactions."""
    prefix = f"bench{os.getpid()}."
    fill(platform.bootstrap_servers, platform.registry_url, prefix, args.transactions, args.cards)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in (10, 100):
            rules = Path(scratch) / f"{number}.yaml"
            rules.write_text(many_rules(number))
            chosen = argparse.Namespace(**{**vars(args), "rules": rules, "prefix": prefix})
            figures[f"{number}_rules"] = run(
                chosen, platform.bootstrap_servers, platform.registry_url, platform.environment()
            )
    ten, hundred = (figures[f"{number}_rules"]["per_second_after_first_batch"] for number in (10, 100))
    return {**figures, "times_of_100_to_10_rules": round(ten / hundred, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--cards", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500_000, help="maximum number of transactions per micro-batch")
    parser.add_argument("--tasks", type=int, default=3, help="number of state partitions, and of parallel tasks")
    parser.add_argument("--tuned-for", default="throughput", choices=["latency", "throughput"])
    parser.add_argument("--scopes", default="card")
    parser.add_argument("--rules", type=Path, default=RULES)
    parser.add_argument("--driver-memory", default="6g")
    parser.add_argument("--prefix", default="", help="a topic prefix filled by an earlier run")
    parser.add_argument("--detector", type=Path, default=DETECTOR, help="another program, to compare")
    parser.add_argument("--external", action="store_true", help="use the Kafka of CARDWATCH_KAFKA_BOOTSTRAP_SERVERS")
    parser.add_argument("--many", action="store_true", help="compare 10 rules with 100 instead of running the five")
    parser.add_argument("--verbose", action="store_true", help="print each step")
    args = parser.parse_args()
    if args.external:
        bootstrap, registry = (
            os.environ["CARDWATCH_KAFKA_BOOTSTRAP_SERVERS"],
            os.environ["CARDWATCH_SCHEMA_REGISTRY_URL"],
        )
        print(json.dumps(run(args, bootstrap, registry, {}), indent=2))
        return
    from cardwatch_platform import EmbeddedPlatform

    with tempfile.TemporaryDirectory() as home, EmbeddedPlatform(home=Path(home)) as platform:
        if args.many:
            print(json.dumps(compare(args, platform), indent=2))
            return
        figures = run(args, platform.bootstrap_servers, platform.registry_url, platform.environment())
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
