"""How soon a changed rule takes effect: from the command's acknowledgement to the rule's first alert on alerts.v1.

Starts the whole pipeline except the lakehouse, simulates transactions, and publishes one new shadow rule after another,
each with a window of an hour over a card's transactions. Prints the seconds of each rule, and the number of
transactions in the fullest window of the first alerts, which includes transactions from before the change.

    python benchmarks/rule_change.py --changes 10 --rate 200
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from cardwatch_cli.demo.pipeline import Pipeline, PipelineOptions
from cardwatch_cli.demo.services import LAKEHOUSE, NOTIFIER
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS
from cardwatch_contracts.wire import Decoder
from cardwatch_platform import EmbeddedPlatform
from cardwatch_rulebook import planning
from cardwatch_rulebook.connect import open_stores
from cardwatch_rulebook.definitions import read_definitions
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings
from confluent_kafka import Consumer, TopicPartition

RULES = Path(__file__).parents[1] / "config/rules/demo.yaml"
RULE = """
- id: change-{number}
  title: Every payment, with the card's last hour
  scope: card
  mode: shadow
  measures: {{payments: {{window: 1h, is: count(*)}}, earliest: {{window: 1h, is: seconds_since_previous(*)}}}}
  when: payments >= 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPlatform(Path(scratch) / "platform") as platform:
        options = PipelineOptions(Path(scratch), RULES, without=frozenset({LAKEHOUSE, NOTIFIER}))
        with Pipeline(platform, options) as line:
            line.start()
            line.wait_ready()
            line.start_producer("simulate", "--rate", str(args.rate), "--duration", "0", "--seed", "7")
            time.sleep(20)
            seconds = measure(platform.bootstrap_servers, platform.registry_url, args.changes)
            line.stop_producer()
            line.stop()
    print(f"{args.changes} changes at {args.rate:g} transactions/s: median {statistics.median(seconds):.2f} s, "
          f"slowest {max(seconds):.2f} s")  # fmt: skip


def measure(bootstrap: str, registry_url: str, changes: int) -> list[float]:
    decode = Decoder("alert", ConfluentRegistry(registry_url))
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "rule-change", "fetch.wait.max.ms": 5})
    settings = ServiceSettings(kafka_bootstrap_servers=bootstrap, schema_registry_url=registry_url)
    author = Author("benchmark")
    seconds = []
    with open_stores(settings) as stores:
        for number in range(changes):
            partitions = [TopicPartition(ALERTS.name(""), partition) for partition in range(3)]
            for partition in partitions:
                partition.offset = consumer.get_watermark_offsets(partition)[1]
            consumer.assign(partitions)
            plans = [planning.apply(one, author) for one in read_definitions(RULE.format(number=number), "rule", {})]
            stores.rules.carry_out(plans)
            acknowledged_us = time.time_ns() // 1000
            first_us, longest = _first(consumer, decode, f"change-{number}")
            seconds.append((first_us - acknowledged_us) / 1e6)
            print(f"change {number + 1}: {seconds[-1]:.2f} s; the fullest of the first windows: {longest} transactions")
            stores.rules.carry_out([planning.delete(f"change-{number}", author)])
            time.sleep(1.5)
    consumer.close()
    return seconds


def _first(consumer: Consumer, decode: Decoder, rule_id: str) -> tuple[int, int]:
    """Broker time of a rule's first alert, microseconds, and the largest window of the alerts within a second of it."""
    first_us = longest = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = consumer.poll(0.05)
        if message is not None and message.error() is None:
            alert = decode(message.value())
            if alert["rule_id"] == rule_id:
                if not first_us:
                    first_us, deadline = message.timestamp()[1] * 1000, time.monotonic() + 1
                longest = max(longest, alert["evidence_count"])
    if not first_us:
        raise SystemExit(f"no alert of {rule_id} within a minute")
    return first_us, longest


if __name__ == "__main__":
    main()
