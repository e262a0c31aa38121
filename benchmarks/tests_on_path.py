"""Importing this makes ``support`` importable: benchmarks take their records from the same factories as the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
