"""Lines for end-to-end tests: real processes on one broker and registry, each line under a prefix of its own."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from cardwatch_cli.demo.pipeline import Pipeline, PipelineOptions
from cardwatch_cli.demo.services import DETECTOR, ENRICHER, NOTIFIER

from support.otlp_collector import Collector, collector
from support.spark_settings import QUICK, WITHOUT_SLOW_TABLES
from support.whole_traces import EVERYTHING

REPOSITORY: Final = Path(__file__).parents[2]

MakeLine = Callable[..., Pipeline]

SIMULATION: Final = (
    "simulate", "--rate", "100", "--duration", "0", "--seed", "11", "--fraud-fraction", "0.1",
    "--late-fraction", "0.05", "--max-late", "10s", "--duplicate-fraction", "0.03", "--invalid-fraction", "0.02",
    "--json-fraction", "0.1",
)  # fmt: skip


@contextmanager
def lines(platform: Any, directory: Path) -> Iterator[MakeLine]:
    """Makes lines that are started and ready; the end leaves nothing of them running."""
    with ExitStack() as made:

        def make(rules: Path = REPOSITORY / "config/rules/demo.yaml", **options: Any) -> Pipeline:
            prefix = f"e2e-{uuid.uuid4().hex[:8]}."
            line = made.enter_context(Pipeline(platform, PipelineOptions(directory / prefix, rules, prefix, **options)))
            line.start()
            line.wait_ready()
            return line

        yield make


class Struck(NamedTuple):
    """A line whose services were killed in the middle of their work, which has come to its end all the same.

    Attributes:
        line: drained and stopped.
        traces: what its services have told a collector of OpenTelemetry.
    """

    line: Pipeline
    traces: Collector


@contextmanager
def struck_line(platform: Any, directory: Path) -> Iterator[Struck]:
    """A line on which one service after the other is killed (SIGKILL) and started again.

    produce  ├────────────────────────────────────────────────────────────────────────┤
    enricher           ✗     ↻
    detector                          ✗     ↻
    notifier                                         ✗     ↻
    then                                                    drain and stop
    """
    with collector() as traces, lines(platform, directory) as make:
        told_to = {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint}
        line = make(env={**QUICK, **WITHOUT_SLOW_TABLES, **EVERYTHING, **told_to})
        line.start_producer(*SIMULATION)
        told = _wait_for_alerts(line, 5)
        for victim in (ENRICHER, DETECTOR, NOTIFIER):
            line.kill(victim)
            time.sleep(2)
            line.restart(victim)
            line.wait_ready()
            told = _wait_for_alerts(line, told + 5)
        line.stop_producer()
        line.drain()
        line.stop()
        yield Struck(line, traces)


def _wait_for_alerts(line: Pipeline, least: int, timeout: float = 120.0) -> int:
    deadline = time.monotonic() + timeout
    while (told := len(line.receiver.unique_ids())) < least:
        line.check_alive()
        assert time.monotonic() < deadline, f"only {told} alerts within {timeout:.0f} s"
        time.sleep(0.1)
    return told
