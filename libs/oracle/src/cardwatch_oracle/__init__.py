"""The expected alerts, computed a second time: DuckDB SQL written from the definition of a rule.

It shares no code with the evaluator in `cardwatch_rules` or with any other package, not even identifiers, the reader of
rule files or lists of fields (docs/decisions/0002-independent-oracle.md says why), so that a mistake there cannot hide
here. The duplication is on purpose: do not replace it with an import.
"""

from cardwatch_oracle.comparison import Comparison, ObservedAlert, verify
from cardwatch_oracle.errors import OracleError
from cardwatch_oracle.expectation import EXPECTED_ALERTS, expected_alerts
from cardwatch_oracle.lists import read_lists
from cardwatch_oracle.windows import windows

__all__ = [
    "EXPECTED_ALERTS",
    "Comparison",
    "ObservedAlert",
    "OracleError",
    "expected_alerts",
    "read_lists",
    "verify",
    "windows",
]
