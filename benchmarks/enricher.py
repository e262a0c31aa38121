"""How many messages one core enriches: ``python benchmarks/enricher.py [messages]``.

Measures the pipeline alone (decode, validate, enrich, encode; no broker), and with ``--line`` the whole service reading
a full topic of the broker that CARDWATCH_KAFKA_BOOTSTRAP_SERVERS and CARDWATCH_SCHEMA_REGISTRY_URL name. Both rates are
also given per second of CPU time, which other work on the machine disturbs least.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import httpx
import tests_on_path  # noqa: F401 - makes support importable
import typer
from cardwatch_contracts.topics import TRANSACTIONS_RAW
from cardwatch_contracts.wire import Encoder, Record
from cardwatch_enricher.bootstrap import build_pipeline
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.startup import Settings
from cardwatch_enricher.stream.batch_processor import BatchProcessor, Target, Targets
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_kafka.setup import apply_all
from cardwatch_service.metrics import CONSUMER_POSITION, Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import TokenSettings
from confluent_kafka import Producer
from support.records import transaction_record
from support.registry import InMemoryRegistry

BATCH = 1000


class _Nowhere:
    def publish(self, batch: Sequence[OutgoingMessage]) -> list[int]:
        return []


def transactions(count: int) -> Iterator[Record]:
    """Transactions of 100,000 cards."""
    for number in range(count):
        yield transaction_record(
            transaction_id=f"t-{number}",
            event_time=time.time_ns() // 1000,
            card_token=hashlib.sha256(str(number % 100_000).encode()).hexdigest()[:32],
            card_bin=f"{400000 + number % 38}",
            amount_minor=100 + number % 10_000,
            currency=("EUR", "USD", "JPY")[number % 3],
            merchant_id=f"merchant-{number % 500}",
            device_id=f"device-{number % 1000}",
            latitude=52.5,
            longitude=13.4,
        )


def pipeline_only(count: int) -> None:
    """The pipeline alone, on bytes in memory."""
    metrics = Metrics()
    settings = Settings(ServiceSettings(), EnricherSettings(), TokenSettings())
    pipeline = build_pipeline(settings, InMemoryRegistry({"transaction": 1}), metrics)
    targets = Targets(
        Target("silver", Encoder("enriched_transaction", 2)), Target("letters", Encoder("dead_letter", 3))
    )
    process = BatchProcessor(pipeline, _Nowhere(), targets, metrics, stop=Shutdown())
    encode = Encoder("transaction", 1)
    messages = [
        ReceivedMessage(TRANSACTIONS_RAW.name(), 0, offset, b"key", encode(record), (), record["event_time"])
        for offset, record in enumerate(transactions(count))
    ]
    wall, cpu = time.perf_counter(), time.process_time()
    for start in range(0, count, BATCH):
        process(messages[start : start + BATCH])
    _report("pipeline alone", count, time.perf_counter() - wall, time.process_time() - cpu)


def whole_service(count: int) -> None:
    """The service, from its first message to its last, on a topic that is full before it starts."""
    service = load_settings(ServiceSettings)
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    apply_all(service.kafka_bootstrap_servers, service.schema_registry_url, prefix)
    schema_id = service.registry().id_of(TRANSACTIONS_RAW.subject(prefix), "transaction")
    encode = Encoder("transaction", schema_id)
    producer = Producer(
        {**service.kafka_config(), "compression.type": "lz4", "queue.buffering.max.messages": 2 * count}
    )
    for record in transactions(count):
        producer.produce(TRANSACTIONS_RAW.name(prefix), encode(record), record["card_token"])
    producer.flush()

    port = 31179
    process = subprocess.Popen(
        [Path(sys.executable).with_name("cardwatch-enricher")],
        env={**os.environ, "CARDWATCH_TOPIC_PREFIX": prefix, "CARDWATCH_METRICS_PORT": str(port)},
    )
    try:
        started: tuple[float, float, float] | None = None
        while True:
            time.sleep(0.25)
            try:
                text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
            except httpx.HTTPError:
                continue
            now = time.perf_counter()
            done = sum(float(n) for n in re.findall(rf"^{CONSUMER_POSITION}{{.*raw.*}} (\S+)$", text, re.MULTILINE))
            (cpu,) = re.findall(r"^process_cpu_seconds_total (\S+)$", text, re.MULTILINE)
            if started is None and done:
                started = (now, float(cpu), done)
            if started is not None and done >= count:
                _report("whole service", count - int(started[2]), now - started[0], float(cpu) - started[1])
                return
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _report(what: str, count: int, wall: float, cpu: float) -> None:
    print(f"{what}: {count} messages, {count / wall:,.0f}/s by the clock, {count / cpu:,.0f} per CPU second")


def main(
    messages: Annotated[int, typer.Argument(help="how many")] = 50_000,
    line: Annotated[bool, typer.Option("--line", help="also the whole service on a real broker")] = False,
) -> None:
    """Measure the enricher's throughput."""
    pipeline_only(messages)
    if line:
        whole_service(messages)


if __name__ == "__main__":
    typer.run(main)
