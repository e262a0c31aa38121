"""Rules as plain values: comparable and picklable, without behaviour that needs a library."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    """What a measure computes over the transactions in its window. The value is the word that rules use."""

    COUNT = "count"
    COUNT_DISTINCT = "count distinct"
    DECLINES = "declines"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    STDDEV = "stddev"
    RATIO_TO_MEAN = "ratio_to_mean"
    FIRST = "first"
    LAST = "last"
    PREVIOUS = "previous"
    SECONDS_SINCE_PREVIOUS = "seconds_since_previous"
    DISTANCE_KM = "distance_km"
    SPEED_KMH = "speed_kmh"


# Aggregates of whole transactions, which are written with ``*``.
OF_TRANSACTIONS: Final = frozenset(
    {
        Aggregate.COUNT,
        Aggregate.DECLINES,
        Aggregate.SECONDS_SINCE_PREVIOUS,
        Aggregate.DISTANCE_KM,
        Aggregate.SPEED_KMH,
    }
)

MAX_RULE_VERSION: Final = 2**31 - 1
"""What ``rule_version`` of alert.avsc and rule.avsc holds, a 32-bit integer. The first version is 1."""

# How many lengths of ``suppress`` of the past decide whether a hit raises an alert (docs/rules.md, decision 0004).
SUPPRESSION_REACH: Final = 7


@dataclass(frozen=True, slots=True)
class Measure:
    """One number over the window (t − W, t] of a key.

    Attributes:
        name: its name in the rule's condition.
        window_us: W, microseconds.
        aggregate: what is computed.
        field: the field that is aggregated; None for measures of whole transactions.
        where: SQL condition that selects transactions of the window; None selects all.
    """

    name: str
    window_us: int
    aggregate: Aggregate
    field: str | None = None
    where: str | None = None

    @property
    def expression(self) -> str:
        """The measure as it is written in a rule: ``count(distinct country)``."""
        if self.aggregate is Aggregate.COUNT_DISTINCT:
            return f"count(distinct {self.field})"
        return f"{self.aggregate.value}({self.field or '*'})"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over a transaction and measures of the windows that end with it.

    Attributes:
        rule_id: identity of the rule, over all its versions.
        version: counts up from 1 with every change; part of an alert's identity.
        title: one line for a person.
        scope: the kind of key that the windows are of: ``card``, ``merchant``, …
        severity: how urgent.
        mode: live, shadow or paused.
        measures: numbers over windows; their names are unique within the rule.
        when: SQL condition over the transaction's fields and the measures' names. Null counts as false.
        suppress_us: at most one alert per key within this time, microseconds; None for one alert per hit.
        explanation: why it matters and what to do, for a person.
    """

    rule_id: str
    version: int
    title: str
    scope: str
    severity: Severity
    mode: Mode
    measures: tuple[Measure, ...]
    when: str
    suppress_us: int | None = None
    explanation: str = ""

    @property
    def longest_window_us(self) -> int:
        """The longest window among the measures, microseconds; without measures, that of the transaction itself."""
        return max((measure.window_us for measure in self.measures), default=1)

    @property
    def suppression_reach_us(self) -> int:
        """How far back other hits decide whether a hit raises an alert, microseconds."""
        return SUPPRESSION_REACH * (self.suppress_us or 0)
