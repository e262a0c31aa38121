"""Random rules over random histories: ``python benchmarks/equivalence.py --cases 100000``.

A case is a history of transactions of some keys, in micro-batches, under random rules (tests/support/equivalence). The
detector's operator, the evaluator in Python and the oracle have to agree about every alert; one suite in five has
numbers and texts that the oracle would understand otherwise, and is compared without it. Prints the first differences,
and the figures as JSON; exits with code 1 if there is any difference.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import tests_on_path  # noqa: F401 - makes support importable
import typer
from support.equivalence.comparison import compare_random_suite
from support.equivalence.engines import Oracle
from support.equivalence.operator import running_operator

SHOWN = 3


def main(
    cases: Annotated[int, typer.Option(help="How many histories.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the first suite; the next one has the next seed.")] = 1,
    per_suite: Annotated[int, typer.Option(help="How many histories have the same rules.")] = 400,
    minutes: Annotated[float, typer.Option(help="After so long no more suites are begun.")] = 1e6,
) -> None:
    began = time.monotonic()
    done, found = 0, 0
    with running_operator() as operator, tempfile.TemporaryDirectory(prefix="cardwatch-equivalence-") as directory:
        oracle = Oracle(Path(directory) / "rules.yaml")
        suite = seed
        while done < cases and time.monotonic() - began < 60 * minutes:
            differences = compare_random_suite(suite, per_suite, operator, None if suite % 5 == 0 else oracle)
            for one in differences[: max(SHOWN - found, 0)]:
                print(f"suite {suite}: {one}", flush=True)
            found += len(differences)
            done += per_suite
            suite += 1
            print(f"\r{done:,} cases, {found} differences", end="", file=sys.stderr, flush=True)
    figures = {
        "cases": done, "seed": seed, "suites": suite - seed, "seconds": round(time.monotonic() - began),
        "differences": found,
    }  # fmt: skip
    print("\n" + json.dumps(figures), flush=True)
    if found:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
