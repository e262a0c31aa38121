"""Whole pipelines for end-to-end tests: real processes on one broker and registry, each under a prefix of its own."""

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
from support.whole_traces import TRACE_EVERYTHING

REPOSITORY: Final = Path(__file__).parents[2]

StartPipeline = Callable[..., Pipeline]

SIMULATION: Final = (
    "simulate", "--rate", "100", "--duration", "0", "--seed", "11", "--fraud-fraction", "0.1",
    "--late-fraction", "0.05", "--max-late", "10s", "--duplicate-fraction", "0.03", "--invalid-fraction", "0.02",
    "--json-fraction", "0.1",
)  # fmt: skip


@contextmanager
def running_pipelines(platform: Any, directory: Path) -> Iterator[StartPipeline]:
    """Starts pipelines and waits until they are ready; all their processes are stopped at the end."""
    with ExitStack() as started:

        def start(rules: Path = REPOSITORY / "config/rules/demo.yaml", **options: Any) -> Pipeline:
            prefix = f"e2e-{uuid.uuid4().hex[:8]}."
            chosen = PipelineOptions(directory / prefix, rules, prefix, **options)
            pipeline = started.enter_context(Pipeline(platform, chosen))
            pipeline.start()
            pipeline.wait_ready()
            return pipeline

        yield start


class KilledPipeline(NamedTuple):
    """A pipeline that has processed everything although its services were killed in the middle of their work.

    Attributes:
        pipeline: drained and stopped.
        traces: the spans that its services have sent to an OpenTelemetry collector.
    """

    pipeline: Pipeline
    traces: Collector


@contextmanager
def killed_pipeline(platform: Any, directory: Path) -> Iterator[KilledPipeline]:
    """A pipeline on which one service after the other is killed (SIGKILL) and started again.

    produce  ├────────────────────────────────────────────────────────────────────────┤
    enricher           ✗     ↻
    detector                          ✗     ↻
    notifier                                         ✗     ↻
    then                                                    drain and stop
    """
    with collector() as traces, running_pipelines(platform, directory) as start:
        collected_at = {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint}
        pipeline = start(env={**QUICK, **WITHOUT_SLOW_TABLES, **TRACE_EVERYTHING, **collected_at})
        pipeline.start_producer(*SIMULATION)
        delivered = _wait_for_alerts(pipeline, 5)
        for victim in (ENRICHER, DETECTOR, NOTIFIER):
            pipeline.kill(victim)
            time.sleep(2)
            pipeline.restart(victim)
            pipeline.wait_ready()
            delivered = _wait_for_alerts(pipeline, delivered + 5)
        pipeline.stop_producer()
        pipeline.drain()
        pipeline.stop()
        yield KilledPipeline(pipeline, traces)


def _wait_for_alerts(pipeline: Pipeline, least: int, timeout: float = 120.0) -> int:
    deadline = time.monotonic() + timeout
    while (delivered := len(pipeline.receiver.unique_ids())) < least:
        pipeline.check_alive()
        assert time.monotonic() < deadline, f"only {delivered} alerts within {timeout:.0f} s"
        time.sleep(0.1)
    return delivered
