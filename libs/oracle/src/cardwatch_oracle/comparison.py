"""Compares the expected alerts with the observed ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

_OBSERVED_COLUMNS = ("alert_id", "status", "suppressed_by")


class ObservedAlert(NamedTuple):
    """An alert after its last event: raised, or suppressed by another. A retracted alert is not one."""

    alert_id: str
    status: str
    suppressed_by: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The comparison: number of expected alerts, ids that were not observed, ids that should not have been.

    An alert that was observed with another status or `suppressed_by` than the expected one is in both lists.
    """

    expected: int
    missing: list[str]
    extra: list[str]

    @property
    def holds(self) -> bool:
        """Whether exactly the expected alerts were observed."""
        return not self.missing and not self.extra

    def __str__(self) -> str:
        return f"{self.expected:,} expected, {len(self.missing):,} missing, {len(self.extra):,} extra"


def verify(expected: pa.Table, observed: pa.Table | Iterable[str | ObservedAlert]) -> Comparison:
    """Compares the expected alerts with the final observed set, whose retracted alerts have been left out.

    `observed` is a table with the columns alert_id and, both or neither, status and suppressed_by, or any number of
    ObservedAlert and bare ids. What is observed as a bare id is compared by its id alone.

    An alert that was observed more than once counts once: alerts are published at least once. Ids in the comparison are
    ordered, missing ones by event time.
    """
    wanted = {alert.alert_id: alert for alert in _alerts(expected) if isinstance(alert, ObservedAlert)}
    found: set[str] = set()
    extra: set[str] = set()
    for alert in _alerts(observed) if isinstance(observed, pa.Table) else observed:
        if isinstance(alert, ObservedAlert):
            alert_id, right = alert.alert_id, wanted.get(alert.alert_id) == alert
        else:
            alert_id, right = alert, alert in wanted
        (found if right else extra).add(alert_id)
    return Comparison(
        expected=len(wanted),
        missing=[alert_id for alert_id in wanted if alert_id not in found],
        extra=sorted(extra),
    )


def _alerts(table: pa.Table) -> Iterator[str | ObservedAlert]:
    columns = [table[name].to_pylist() for name in _OBSERVED_COLUMNS if name in table.column_names]
    if len(columns) == len(_OBSERVED_COLUMNS):
        return (ObservedAlert(*row) for row in zip(*columns, strict=True))
    return (str(alert_id) for alert_id in table["alert_id"].to_pylist())
