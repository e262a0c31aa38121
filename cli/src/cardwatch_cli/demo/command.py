"""``cardwatch demo``: the whole pipeline on this machine, from the start of a broker to the check of its alerts."""

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_platform import EmbeddedPlatform, RichReporter
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND, now_microseconds

from cardwatch_cli.context import current_context
from cardwatch_cli.demo.pipeline import Pipeline, PipelineOptions
from cardwatch_cli.demo.report import Report, build_report, find_problems, write_json
from cardwatch_cli.demo.report_page import render_report
from cardwatch_cli.demo.runs import new_run
from cardwatch_cli.demo.screen import Screen
from cardwatch_cli.interruption import Interruption

RUNS_DIR: Final = Path(".cardwatch/demo")

_POLL_SECONDS: Final = 0.25
# Seconds between measurements of the progress, which cost the services and the broker some work.
_POLLS_PER_PROGRESS: Final = 8

# No transaction of a replayed file may count as late: their times may be any distance apart, and partitions are read at
# different speeds. (The lateness of simulated transactions is bounded; the detector's default covers it.) The size of
# micro-batches fits into one machine's memory with any rules.
_REPLAY_ENV: Final = {
    "CARDWATCH_DETECTOR_LATENESS": "10d",
    "CARDWATCH_DETECTOR_HORIZON_CARD": "7d",
    "CARDWATCH_DETECTOR_TUNED_FOR": "throughput",
    "CARDWATCH_DETECTOR_MAX_OFFSETS_PER_TRIGGER": "50000",
    "CARDWATCH_SPARK_DRIVER_MEMORY": "2g",
}


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run.

    Attributes:
        producer: arguments of ``cardwatch-producer``: ``simulate`` or ``replay`` with its options.
        rules: the rule file.
        simulated: whether the input comes from the simulator.
        report: the JSON file to write; None writes none.
    """

    producer: tuple[str, ...]
    rules: Path
    simulated: bool
    report: Path | None


def demo(
    duration: Annotated[str, typer.Option(help="How long to simulate: 30s, 5m.")] = "60s",
    rate: Annotated[float, typer.Option(min=0.1, help="Simulated transactions per second.")] = 200.0,
    seed: Annotated[int, typer.Option(help="The same seed simulates the same transactions.")] = 7,
    rules: Annotated[Path, typer.Option(help="Rule file (YAML).")] = Path("config/rules/demo.yaml"),
    report: Annotated[Path | None, typer.Option(help="Write the numbers of the summary to this file as JSON.")] = None,
    late_fraction: Annotated[float, typer.Option(min=0, max=1, help="Share that arrives late.")] = 0.02,
    duplicate_fraction: Annotated[float, typer.Option(min=0, max=1, help="Share that is sent twice.")] = 0.01,
    invalid_fraction: Annotated[float, typer.Option(min=0, max=1, help="Share that is invalid.")] = 0.01,
    json_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share that is sent as JSON, as legacy producers do.")
    ] = 0.1,
    replay: Annotated[
        Path | None, typer.Option(help="Replay this CSV or Parquet file instead of simulating; needs --mapping.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="YAML: which column of the file is which field.")] = None,
    speed: Annotated[
        str, typer.Option(help="Replay 60 times as fast as it happened (60x), or at full speed (max).")
    ] = "max",
    limit: Annotated[int | None, typer.Option(min=1, help="Replay only this many rows, from the first.")] = None,
) -> None:
    """Run the whole pipeline on this machine and check its result.

    Starts Kafka, a schema registry and every service as a process of its own, streams simulated card transactions (or
    replays a file), shows alerts as they reach a webhook, then stops everything and compares the alerts with an
    independent computation from the transactions that were sent.

    Exit code 0: every alert that the transactions call for was raised and delivered exactly once, and no other.
    Data, logs and Delta tables of the last three runs stay in .cardwatch/demo/.
    """
    if replay is None:
        simulate = (
            "simulate", "--rate", str(rate), "--duration", duration, "--seed", str(seed),
            "--late-fraction", str(late_fraction), "--duplicate-fraction", str(duplicate_fraction),
            "--invalid-fraction", str(invalid_fraction), "--json-fraction", str(json_fraction),
        )  # fmt: skip
        options = DemoOptions(simulate, _existing(rules), True, report)
    else:
        if mapping is None:
            raise ConfigurationError(
                "--replay needs --mapping: a YAML file that maps the columns to fields, such as "
                "config/mappings/handbook.yaml"
            )
        arguments = ["replay", str(_existing(replay)), "--mapping", str(_existing(mapping)), "--speed", speed]
        if limit is not None:
            arguments += ["--limit", str(limit)]
        options = DemoOptions(tuple(arguments), _existing(rules), False, report)
    raise typer.Exit(run(options, Screen(), current_context().interruption))


def run(options: DemoOptions, screen: Screen, interruption: Interruption) -> int:
    """Run the pipeline once and return the exit code.

    Raises:
        CardwatchError: a service could not be started or stopped, or the result is not what the oracle expects.
    """
    command_at = time.monotonic()
    command_us = now_microseconds()
    run_dir = new_run(RUNS_DIR).absolute()
    seconds: dict[str, float] = {}

    def done(what: str) -> None:
        seconds[what] = round(time.monotonic() - command_at, 1)

    with (
        RichReporter(screen.console) as reporter,
        EmbeddedPlatform(run_dir / "platform", reporter=reporter) as platform,
    ):
        screen.step(f"broker {platform.bootstrap_servers} and schema registry are up")
        done("platform_up")
        env = {} if options.simulated else _REPLAY_ENV
        with Pipeline(platform, PipelineOptions(run_dir, options.rules, env=env)) as pipeline:
            pipeline.start()
            with screen.live():
                pipeline.wait_ready(on_change=screen.waiting)
            screen.step("all services are ready; " + ("simulating" if options.simulated else "replaying"))
            done("ready")
            _stream(pipeline, options, screen, interruption)
            done("produced")
            with screen.live():
                pipeline.drain(on_wait=screen.draining)
            done("drained")
            pipeline.stop()
            screen.step("everything is processed, all services have stopped; comparing the alerts with the oracle")
            received = pipeline.deliveries()
            report = build_report(
                pipeline.recorded(),
                received,
                rules=options.rules,
                tables_dir=pipeline.tables_dir,
                simulated=options.simulated,
            )
    if received:
        first_us = min(delivery.received_us for delivery in received)
        report.first_alert_seconds = round((first_us - command_us) / MICROSECONDS_PER_SECOND, 1)
    done("finished")
    report.seconds = seconds
    return _conclude(report, options, screen, run_dir)


def _stream(pipeline: Pipeline, options: DemoOptions, screen: Screen, interruption: Interruption) -> None:
    shown = 0
    pipeline.start_producer(*options.producer)
    with screen.live():
        for poll in itertools.count():
            interruption.check()
            if not pipeline.producing():
                return
            alerts = pipeline.received_alerts()
            screen.alerts(alerts[shown:])
            shown = len(alerts)
            if poll % _POLLS_PER_PROGRESS == 0:
                pipeline.check_alive()
                screen.progress(pipeline.progress())
            time.sleep(_POLL_SECONDS)


def _conclude(report: Report, options: DemoOptions, screen: Screen, run_dir: Path) -> int:
    problems = find_problems(report, simulated=options.simulated)
    screen.say("")
    screen.say(render_report(report, problems))
    screen.say("")
    screen.say(f"  logs and Delta tables: {os.path.relpath(run_dir)}", style="dim")
    if options.report is not None:
        write_json(report, options.report)
        screen.say(f"  report: {options.report}", style="dim")
    if problems:
        raise CardwatchError("; ".join(problems))
    return 0


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"file {path} does not exist")
    return path.absolute()
