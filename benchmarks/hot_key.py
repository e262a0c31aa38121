"""What a key with very many transactions costs, itself and others.

In memory, without Spark: processor time per arrival at a merchant with 10^3 to 10^6 transactions in its window, and the
first touches after a new rule has come. With `--stream`: the alerts' latency of all other merchants while one has a
fifth of the traffic, beside a run without it.

    python benchmarks/hot_key.py
    python benchmarks/hot_key.py --stream --rate 1000
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import tests_on_path  # noqa: F401 - makes support importable
from cardwatch_platform import EmbeddedPlatform
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.java import java
from cardwatch_platform.java_build import ENGINE, JavaBuild
from cardwatch_platform.reporting import SilentReporter
from cardwatch_platform.settings import PlatformSettings
from cardwatch_rules.parse import parse_rules
from cardwatch_rules.program.document import program_json
from cardwatch_service.tables import print_table
from detector_process import DETECTOR
from steady_state import RESULTS, SCOPES, one_run
from steady_state import RULES as STEADY_RULES

_HOUR_US: Final = 3_600_000_000
_OLD_RULE: Final = """
- {id: payments, title: t, scope: merchant, when: n > 100000000,
   measures: {n: {window: 1h, is: count(*)}, s: {window: 1h, is: sum(base_amount_minor)}}}
"""
# All kinds of tracks, and a suppression that makes it evaluate what was there before it.
_NEW_RULE: Final = """
- {id: cards, title: t, scope: merchant, suppress: 15m, when: c > 100000000 or d > 100000000000 or m > 1000000000,
   measures: {c: {window: 1h, is: count(distinct card_token)}, m: {window: 1h, is: max(amount_minor)},
              d: {window: 30m, is: stddev(base_amount_minor), where: channel = 'pos'}}}
"""


class Engine:
    """The engine's benchmark programs."""

    def __init__(self) -> None:
        build = JavaBuild(ENGINE, PlatformSettings(), load_lock(), SilentReporter())
        self._command = [str(java()), "-Xmx6g", "-cp", build.test_class_path()]

    def run(self, program: str, *arguments: object) -> list[list[str]]:
        """The words of the lines that a program prints."""
        command = [*self._command, f"cardwatch.engine.{program}", *map(str, arguments)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [line.split() for line in printed.splitlines()]


def arrivals(engine: Engine, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Microseconds and bytes per arrival, by transactions in the window and arrivals per touch; medians."""
    rows: dict[tuple[int, int, int], list[list[float]]] = {}
    touches = ",".join(map(str, args.touches))
    for _ in range(args.repetitions):
        for events in args.events:
            printed = engine.run("timeline.TimelineBenchmark", events, touches, "0,50")
            for window, disorder, touch, *figures in printed[-2 * len(args.touches) :]:
                key = (int(window), int(disorder), int(touch))
                rows.setdefault(key, []).append([float(figure) for figure in figures])
    names = ("us", "reads", "written_bytes", "kept_bytes")
    return [
        {"events": events, "disorder": disorder, "arrivals_per_touch": touch}
        | dict(zip(names, map(statistics.median, zip(*runs, strict=True)), strict=True))
        for (events, disorder, touch), runs in rows.items()
    ]


def print_arrivals(found: Sequence[dict[str, Any]]) -> None:
    """A row per disorder and arrivals per touch, a column per window; `times` is the last one divided by the first."""
    windows = sorted({row["events"] for row in found})
    lines = []
    for disorder, touch in sorted({(row["disorder"], row["arrivals_per_touch"]) for row in found}):
        of = {r["events"]: r for r in found if (r["disorder"], r["arrivals_per_touch"]) == (disorder, touch)}
        costs = [of[window]["us"] for window in windows]
        written = [of[window]["written_bytes"] for window in windows]
        lines.append(
            [
                *(str(disorder), f"{touch:,}", *(f"{cost:.1f}" for cost in costs), f"{costs[-1] / costs[0]:.1f}"),
                *(f"{written[0]:,.0f}", f"{written[-1]:,.0f}"),
            ]
        )
    heads = (f"us at {window:,}" for window in windows)
    print_table(["later events", "arrivals/touch", *heads, "times", "bytes at least", "bytes at most"], lines)


def new_rule(engine: Engine, scratch: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of the first touch after a rule has come, by transactions of the key; medians."""
    before, after = scratch / "before.json", scratch / "after.json"
    before.write_text(program_json(parse_rules(_OLD_RULE)))
    after.write_text(program_json(parse_rules(_OLD_RULE + _NEW_RULE)))
    found = []
    for events in args.events:
        firsts, laters = [], []
        for _ in range(args.repetitions):
            step = _HOUR_US // events
            printed = engine.run("decision.NewRuleBenchmark", before, after, "merchant", events, step)
            seconds = [float(line[1]) for line in printed if line[0] == "after"]
            firsts.append(seconds[0])
            laters.append(statistics.median(seconds[1:]))
        found.append({"events": events, "first_s": statistics.median(firsts), "later_s": statistics.median(laters)})
    return found


def print_new_rule(found: Sequence[dict[str, Any]]) -> None:
    """A row per number of transactions."""
    rows = [[f"{row['events']:,}", f"{row['first_s']:.2f}", f"{row['later_s']:.4f}"] for row in found]
    print_table(["transactions of the key", "first touch of a new rule, s", "later touches, s"], rows)


def stream(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The steady state without and with a merchant that has a share of all traffic."""
    found = []
    with tempfile.TemporaryDirectory() as home, EmbeddedPlatform(home=Path(home)) as platform:
        for _ in range(args.repetitions):
            for share in (0.0, args.hot_share):
                chosen = argparse.Namespace(**{**vars(args), "hot_share": share})
                found.append({"hot_share": share, **one_run(chosen, platform, DETECTOR, args.rate)})
                print(json.dumps(found[-1]), flush=True)
    return found


def print_stream(found: Sequence[dict[str, Any]]) -> None:
    """A row without and one with the hot merchant."""
    rows = []
    for share in sorted({run["hot_share"] for run in found}):
        runs = [run for run in found if run["hot_share"] == share]
        columns = ("elsewhere_p50_ms", "elsewhere_p99_ms", "p99_ms")
        medians = (statistics.median(run[name] or 0 for run in runs) for name in columns)
        rows.append([f"{share:.0%}", *(f"{median:,.0f}" for median in medians)])
    print_table(["of the traffic at one merchant", "others' p50 ms", "others' p99 ms", "all p99 ms"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--touches", type=int, nargs="+", default=[1, 10, 100, 1_000], help="arrivals per touch")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--stream", action="store_true", help="measure other merchants' alerts instead")
    parser.add_argument("--rate", type=int, default=1000, help="of the stream: transactions per second")
    parser.add_argument("--hot-share", type=float, default=0.2, help="of the stream: what one merchant has")
    parser.add_argument("--seconds", type=float, default=60, help="of the stream: how long to measure")
    parser.add_argument("--history-minutes", type=int, default=60, help="of the stream: how much is there before")
    parser.add_argument("--driver-memory", default="4g")
    parser.add_argument("--output", type=Path, default=RESULTS / f"{Path(__file__).stem}.json")
    args = parser.parse_args()
    args.output.parent.mkdir(exist_ok=True)
    if args.stream:
        chosen = argparse.Namespace(**vars(args), scopes=SCOPES, rules=STEADY_RULES)
        result: dict[str, Any] = {"stream": stream(chosen)}
        print_stream(result["stream"])
    else:
        with tempfile.TemporaryDirectory() as home:
            engine = Engine()
            result = {"arrivals": arrivals(engine, args)}
            print_arrivals(result["arrivals"])
            result["new_rule"] = new_rule(engine, Path(home), args)
            print_new_rule(result["new_rule"])
    known = json.loads(args.output.read_text()) if args.output.exists() else {}
    args.output.write_text(json.dumps({**known, "cores": os.cpu_count(), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
