"""Fuzzed messages through the running services: ``python benchmarks/fuzz.py [SERVICE…] --messages 100000``.

Starts the embedded platform and the services, sends so many messages of every kind that they read, and checks that each
message has exactly one outcome, that no process was restarted, and that memory stays flat. The same seed gives the same
messages, but for identifiers and times. Prints a line per service, with the first difference if a check fails, and
exits with code 1 then.
"""

import json
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tests_on_path  # noqa: F401 - makes support importable
import typer
from cardwatch_kafka.setup import apply_all
from support.fuzzing.kinds import kinds
from support.fuzzing.run import FuzzRun
from support.fuzzing.services import READS, REPORTED, check_outcomes, start_service
from support.fuzzing.timestamps import keep_timestamps
from support.kafka import KafkaTopics
from support.kafka_admin import KafkaAdmin
from support.platforms import Platform, choose_platform


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is sent, and how long it may take.

    Attributes:
        messages: of each kind.
        minutes: after which no more are sent.
        seconds: how long a service may take without coming within 5,000 messages.
    """

    seed: int
    messages: int
    minutes: float
    seconds: float


def fuzz(name: str, platform: Platform, directory: Path, only: list[str], extent: Extent) -> bool:
    """Fuzz one service, print the figures, and return whether all checks hold."""
    prefix = f"fuzz-{uuid.uuid4().hex[:8]}."
    apply_all(platform.bootstrap_servers, platform.registry_url, prefix)
    topics = KafkaTopics(platform, prefix, message_max_bytes=2_000_000, enable_idempotence=True)
    read = {kind_name: kind for kind_name, kind in kinds(topics.encode).items() if kind.topic in READS[name]}
    chosen = {kind_name: kind for kind_name, kind in read.items() if not only or kind_name in only}
    keep_timestamps(KafkaAdmin(platform), prefix, [kind.topic for kind in chosen.values()], [name])
    service = start_service(name, platform, topics, directory)
    began = time.monotonic()
    try:
        run = FuzzRun(topics, {name: service}, REPORTED, extent.seconds)
        sent = run.send(chosen, extent.seed, extent.messages, for_seconds=60 * extent.minutes)
        took = time.monotonic() - began
        problem = _problem(run, name, topics, directory)
    finally:
        service.kill()
    (middle, last) = run.memory[name].thirds()
    figures = {
        "service": name, "kinds": list(chosen), "messages_of_each": sent, "seed": extent.seed, "seconds": round(took),
        "memory_mb_middle_third": round(middle), "memory_mb_last_third": round(last), "problem": problem,
    }  # fmt: skip
    print(json.dumps(figures), flush=True)
    return not problem


def _problem(run: FuzzRun, name: str, topics: KafkaTopics, directory: Path) -> str:
    try:
        run.check_restarts()
        run.check_memory(growth=1.15, spare_mb=32)
        check_outcomes(name, topics, directory)
    except AssertionError as error:
        return str(error)
    return ""


def main(
    services: Annotated[list[str] | None, typer.Argument(help=f"Some of {', '.join(READS)}; all without any.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="A kind, as `alerts`; all that it reads without any.")] = None,
    messages: Annotated[int, typer.Option(help="How many of each kind.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the generator.")] = 1,
    seconds: Annotated[float, typer.Option(help="How long a service may take without coming within 5,000.")] = 900.0,
    minutes: Annotated[float, typer.Option(help="After so long no more are sent to a service.")] = 1e6,
) -> None:
    extent = Extent(seed, messages, minutes, seconds)
    names = services or list(READS)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cardwatch-fuzz-")))
        platform = stack.enter_context(choose_platform("embedded", directory / "platform"))
        results = []
        for name in names:
            (directory / name).mkdir()
            results.append(fuzz(name, platform, directory / name, kind or [], extent))
    if not all(results):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
