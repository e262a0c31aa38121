"""Rules as plain values: comparable, picklable, without behaviour that needs a library."""

from dataclasses import dataclass
from enum import StrEnum

MICROSECONDS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


class Severity(StrEnum):
    """How urgent an alert is, least first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Mode(StrEnum):
    """What happens to a rule's alerts: notified, only kept, or the rule is not evaluated at all."""

    LIVE = "live"
    SHADOW = "shadow"
    PAUSED = "paused"


class Aggregate(StrEnum):
    """What a measure computes over the transactions in its window."""

    COUNT = "count"
    COUNT_DISTINCT = "count distinct"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number over the window (t − W, t] of a key.

    Attributes:
        name: by which the rule's condition calls it.
        window_us: W, microseconds.
        aggregate: what is computed.
        field: over which field; None for ``count(*)``.
        where: SQL condition on a transaction of the window, None for all of them.
    """

    name: str
    window_us: int
    aggregate: Aggregate
    field: str | None = None
    where: str | None = None

    @property
    def expression(self) -> str:
        """The measure as it is written in a rule: ``count(distinct country)``."""
        if self.aggregate is Aggregate.COUNT:
            return f"count({self.field or '*'})"
        if self.aggregate is Aggregate.COUNT_DISTINCT:
            return f"count(distinct {self.field})"
        return f"{self.aggregate.value}({self.field})"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over a transaction and measures of the windows that end with it.

    Attributes:
        rule_id: identity of the rule, over all its versions.
        version: counts up from 1 with every change; part of an alert's identity.
        title: one line for a person.
        scope: whose windows: ``card``, ``merchant``.
        severity: how urgent.
        mode: live, shadow or paused.
        measures: what is computed; names are unique within the rule.
        when: SQL condition over the transaction's fields and the measures' names. Null does not hold.
    """

    rule_id: str
    version: int
    title: str
    scope: str
    severity: Severity
    mode: Mode
    measures: tuple[Measure, ...]
    when: str

    @property
    def longest_window_us(self) -> int:
        """The longest window among the measures, microseconds."""
        return max(measure.window_us for measure in self.measures)
