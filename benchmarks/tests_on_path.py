"""Makes the package ``support`` importable: benchmarks use the same record factories as the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
