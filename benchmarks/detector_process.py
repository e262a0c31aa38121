"""The detector as a process that a benchmark starts, and what it can be asked from outside."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from cardwatch_service.metrics import CONSUMER_POSITION
from confluent_kafka import Consumer, TopicPartition

DETECTOR = Path(sys.executable).with_name("cardwatch-detector")
_STOP_SECONDS = 60


@dataclass
class DetectorProcess:
    """A running detector.

    Attributes:
        scratch: the directory with its log and its checkpoint.
    """

    process: subprocess.Popen[bytes]
    port: int
    scratch: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """The end of its log."""
        return (self.scratch / "detector.log").read_text()[-4000:]

    def metrics(self) -> str:
        """Its metrics page; empty while it does not answer."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        except httpx.HTTPError:
            return ""

    def committed(self, topic: str) -> int:
        """How many messages of a topic it has committed; topics of benchmarks begin at offset 0."""
        return sum(positions(self.metrics(), topic).values())

    def processor_seconds(self) -> dict[str, float]:
        """Processor time of its processes so far, by program: the JVM, Python."""
        return processor_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Memory of its processes."""
        total = 0
        for process in _process_tree(self.process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def checkpoint_bytes(self) -> int:
        """Size of the checkpoint's files."""
        sizes = 0
        for path in (self.scratch / "checkpoint").rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                sizes += path.stat().st_size if path.is_file() else 0
        return sizes


def processor_seconds(pid: int) -> dict[str, float]:
    """Processor time of a process and its children so far, by program: the JVM, Python."""
    seconds: dict[str, float] = {}
    for process in _process_tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds[process.name()] = round(seconds.get(process.name(), 0.0) + times.user + times.system, 1)
    return seconds


def _process_tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


@contextlib.contextmanager
def detector(environment: Mapping[str, str], program: Path = DETECTOR) -> Iterator[DetectorProcess]:
    """Start a velocity detector; it is stopped when the block ends."""
    port = 19_000 + os.getpid() % 1000
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "detector.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "velocity"],
            env={
                **os.environ,
                "CARDWATCH_METRICS_PORT": str(port),
                "CARDWATCH_DETECTOR_CHECKPOINT_DIR": f"{scratch}/checkpoint",
                **environment,
            },
            stdout=log,
            stderr=log,
        )
        try:
            yield DetectorProcess(process, port, Path(scratch))
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


def end_offsets(bootstrap: str, topic: str) -> dict[str, int]:
    """End offset by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "benchmark"})
    try:
        partitions = consumer.list_topics(topic).topics[topic].partitions
        return {str(p): consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
    finally:
        consumer.close()


def positions(page: str, topic: str) -> dict[str, int]:
    """The detector's committed positions from its metrics page."""
    pattern = re.compile(rf'{CONSUMER_POSITION}{{partition="(\d+)",topic="{re.escape(topic)}"}} (\S+)')
    return {partition: int(float(value)) for partition, value in pattern.findall(page)}


def wait_for(run: DetectorProcess, topic: str, messages: int, seconds: float) -> None:
    """Wait until a detector has committed so many messages of a topic; ends the benchmark if it never does."""
    begin = time.monotonic()
    while run.committed(topic) < messages:
        if not run.running or time.monotonic() - begin > seconds:
            raise SystemExit(f"{run.committed(topic):,} of {messages:,} after {seconds:.0f} s or its end:\n{run.log}")
        time.sleep(0.2)
