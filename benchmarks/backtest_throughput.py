"""Backtest: transactions per second with 10 rules over 100,000 cards, and the cost of 100 rules.

Writes silver transactions of some days to a Delta table in a temporary directory. Then it measures the time of the
evaluation alone (transactions in memory), of the whole command as a process (including the start of Python, Delta and
the tables), and of the evaluation with 100 rules: over ten round windows, and over a hundred different ones.

    python benchmarks/backtest_throughput.py --transactions 2000000
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import backtest
from cardwatch_rules.parse import parse_rules

ROOT = Path(__file__).resolve().parents[1]
CARDS, MERCHANTS, DAYS = 100_000, 5_000, 7
START_US = 1_790_000_000_000_000
ROUND_WINDOWS = ("1m", "2m", "5m", "10m", "15m", "20m", "30m", "45m", "1h", "2h")
LEAST_PER_SECOND, MOST_RATIO = 300_000, 3.0


def transactions(number: int, seed: int = 1) -> pl.DataFrame:
    """Silver's columns that rules can use; few cards pay often and many seldom, as in reality."""
    draw = np.random.default_rng(seed)
    day_us = 86_400_000_000
    at = np.sort(draw.integers(0, DAYS * day_us, number)) + START_US

    def of(values: list[str], *chances: float) -> pl.Series:
        return pl.Series(values, dtype=pl.String)[draw.choice(len(values), number, p=chances)]

    cards = pl.Series([f"{card * 2654435761 % 2**128:032x}" for card in range(CARDS)])
    merchants = pl.Series([f"m{merchant}" for merchant in range(MERCHANTS)])
    card = np.minimum((draw.pareto(1.5, number) * CARDS / 20).astype(np.int64), CARDS - 1)
    amount = draw.integers(100, 20_000, number)
    return pl.DataFrame(
        {
            "transaction_id": pl.Series(np.arange(number)).map_elements(lambda n: f"{n:032x}", return_dtype=pl.String),
            "event_time": at,
            "card_token": cards[np.where(draw.random(number) < 0.9, draw.integers(0, CARDS, number), card)],
            "card_bin": of(["400000", "400022"], 0.8, 0.2),
            "merchant_id": merchants[draw.integers(0, MERCHANTS, number)],
            "merchant_category_code": of(["5411", "5999"], 0.5, 0.5),
            "merchant_category_group": of(["groceries", "other"], 0.5, 0.5),
            "country": of(["DE", "FR", "IT"], 0.94, 0.04, 0.02),
            "bin_country": of(["DE", "US"], 0.8, 0.2),
            "channel": of(["pos", "ecom", "atm"], 0.6, 0.3, 0.1),
            "transaction_type": of(["purchase", "refund"], 0.98, 0.02),
            "status": of(["approved", "declined"], 0.95, 0.05),
            "currency": of(["EUR"], 1.0),
            "amount_minor": amount,
            "base_amount_minor": amount,
            "device_id": pl.Series([f"d{device}" for device in range(50_000)])[draw.integers(0, 50_000, number)],
            "ip_address": pl.Series([f"192.0.2.{host}" for host in range(256)])[draw.integers(0, 256, number)],
            "latitude": draw.uniform(47, 55, number),
            "longitude": draw.uniform(6, 15, number),
            "hour_of_day": (at // 3_600_000_000 % 24).astype(np.int32),
            "day_of_week": ((at // day_us + 3) % 7 + 1).astype(np.int32),
        }
    )


def ten_rules() -> list[dict]:
    """The demo's five, and the detector benchmark's five."""
    demo, five = (
        yaml.safe_load((ROOT / path).read_text())["rules"]
        for path in ("config/rules/demo.yaml", "benchmarks/five_rules.yaml")
    )
    return [*demo[:5], *({**rule, "id": f"bench-{rule['id']}"} for rule in five)]


def hundred_rules(*, round_windows: bool) -> list[dict]:
    """Each of the ten with ten windows; a measure is computed for one of them, or for two at most.

    Args:
        round_windows: the lengths that people choose; otherwise no two of the hundred share one.
    """
    found = []
    for step in range(10):
        for number, rule in enumerate(ten_rules()):
            measures = {
                name: {
                    **measure,
                    "window": ROUND_WINDOWS[step] if round_windows else f"{60 + 601 * step + 53 * number}s",
                }
                for name, measure in rule["measures"].items()
            }
            found.append({**rule, "id": f"{rule['id']}-{step}", "measures": measures})
    return found


def seconds(repeat: int, run, clock=time.perf_counter) -> float:
    """The median time of a call; with ``time.process_time`` the processor time, which other processes disturb less."""
    times = []
    for _ in range(repeat):
        began = clock()
        run()
        times.append(clock() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    number = options.transactions
    frame = transactions(number)
    rule_sets = {
        name: parse_rules(yaml.safe_dump({"rules": rules}))
        for name, rules in (
            ("ten", ten_rules()),
            ("hundred", hundred_rules(round_windows=True)),
            ("unlike", hundred_rules(round_windows=False)),
        )
    }
    ten = rule_sets["ten"]

    def evaluate(rules, threads: int = 2, clock=time.perf_counter) -> float:
        return seconds(options.repeat, lambda: backtest(frame.lazy(), rules, Period(), threads=threads), clock)

    found = {"transactions": number, "cards": frame["card_token"].n_unique()}
    found["evaluation_1_thread_per_second"] = round(number / evaluate(ten, threads=1))
    found["evaluation_per_second"] = round(number / evaluate(ten))
    work = {name: evaluate(rules, clock=time.process_time) for name, rules in rule_sets.items()}
    found["evaluation_per_processor_second"] = round(number / work["ten"])
    found["hundred_rules_ratio"] = round(work["hundred"] / work["ten"], 2)
    found["hundred_unlike_windows_ratio"] = round(work["unlike"] / work["ten"], 2)
    with tempfile.TemporaryDirectory() as directory:
        rules_file = Path(directory) / "rules.yaml"
        rules_file.write_text(yaml.safe_dump({"rules": ten_rules()}))
        silver = frame.with_columns(pl.from_epoch("event_time", time_unit="us").dt.replace_time_zone("UTC"))
        silver.with_columns(event_date=pl.col("event_time").dt.date()).write_delta(
            f"{directory}/silver/transactions", delta_write_options={"partition_by": ["event_date"]}
        )
        command = [sys.executable, "-m", "cardwatch_cli.main", "backtest", "--rules", rules_file]
        command += ["--tables-dir", directory, "--json"]
        answers = []
        whole = seconds(
            options.repeat,
            lambda: answers.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout),
        )
    answer = json.loads(answers[-1])
    found["command_per_second"] = round(number / whole)
    found["command_seconds"] = round(whole, 2)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["command_processor_seconds"] = round((used.ru_utime + used.ru_stime) / options.repeat, 2)
    found["alerts"] = answer["together"]["alerts"]
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    found["peak_memory_mb"] = int(peak[1]) // 1024 if peak else None
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<34} {value:>12,}")
    enough = min(found["evaluation_per_second"], found["command_per_second"]) >= LEAST_PER_SECOND
    print(f"at least {LEAST_PER_SECOND:,} per second: {'yes' if enough else 'NO'}")
    within = found["hundred_rules_ratio"] <= MOST_RATIO
    print(f"100 rules at most {MOST_RATIO:g} times 10 rules: {'yes' if within else 'NO'}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
