"""Expected against observed."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Verdict:
    """What the oracle found: number of expected alerts, ids that were not observed, ids that should not have been."""

    expected: int
    missing: list[str]
    extra: list[str]

    @property
    def holds(self) -> bool:
        """Whether exactly the expected alerts were observed."""
        return not self.missing and not self.extra

    def __str__(self) -> str:
        return f"{self.expected:,} expected, {len(self.missing):,} missing, {len(self.extra):,} extra"


def verify(expected: pa.Table, observed_alert_ids: Iterable[str]) -> Verdict:
    """Compares the expected alerts with the final observed set: ids that were raised and not retracted afterwards.

    An id that was observed more than once counts once: alerts are published at least once. Ids in the verdict are
    ordered, missing ones by event time.
    """
    expected_ids = [str(alert_id) for alert_id in expected["alert_id"].to_pylist()]
    observed = set(observed_alert_ids)
    return Verdict(
        expected=len(expected_ids),
        missing=[alert_id for alert_id in expected_ids if alert_id not in observed],
        extra=sorted(observed.difference(expected_ids)),
    )
