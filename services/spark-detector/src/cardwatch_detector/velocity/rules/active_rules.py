"""The rules that are evaluated: those that analysts have published, except those that fail or cost too much.

A rule that fails, or exceeds its time budget several times in a row, is set aside until somebody changes it. The other
rules go on; ``cardwatch rules list``, a metric and a log line say why.
"""

import json
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, Protocol

from cardwatch_rulebook.snapshot import Snapshot
from cardwatch_rules.model import Mode, Rule
from cardwatch_service.logs import get_logger

from cardwatch_detector.velocity.metrics import RuleMetrics
from cardwatch_detector.velocity.rules.rule_set import RuleSet

_log = get_logger(__name__)

# Micro-batches in a row in which a rule may exceed its budget.
_MAX_STRIKES: Final = 3
# Added to a rule's budget for each transaction that was evaluated.
_SECONDS_PER_ROW: Final = 10e-6


class Reporter(Protocol):
    """Publishes the status of rules for analysts (``cardwatch_rulebook.StatusReporter``)."""

    def report(self, snapshot: Snapshot, failing: Mapping[str, str], scopes: Sequence[str]) -> None:
        """Publish what has changed since the last call."""


class NoReporter:
    """Reports nothing: rules of a file have no status topic."""

    def report(self, snapshot: Snapshot, failing: Mapping[str, str], scopes: Sequence[str]) -> None:
        """Do nothing."""


def fixed_snapshot(rules: Sequence[Rule]) -> Callable[[], Snapshot]:
    """The snapshot of a rule file, which never changes."""
    versions = MappingProxyType({rule.rule_id: rule.version for rule in rules})
    snapshot = Snapshot(rules=tuple(rules), revisions=versions, versions=versions, generation=1)
    return lambda: snapshot


@dataclass(frozen=True, slots=True)
class _SetAside:
    revision: int
    reason: str


class ActiveRules:
    """Decides which rules of a process's scopes are evaluated; safe to use from several threads of the driver."""

    def __init__(
        self,
        scopes: Sequence[str],
        snapshot: Callable[[], Snapshot],
        reporter: Reporter,
        metrics: RuleMetrics,
        budget_seconds: float,
    ) -> None:
        """``budget_seconds`` is what a rule's measures may take per micro-batch, plus 10 us per transaction."""
        self._scopes: Final = tuple(scopes)
        self._snapshot: Final = snapshot
        self._reporter: Final = reporter
        self._metrics: Final = metrics
        self._budget_seconds: Final = budget_seconds
        self._set_aside: dict[str, _SetAside] = {}
        self._strikes: Tally[str] = Tally()
        self._known_broken: Mapping[str, str] = {}
        self._built_from: tuple[int, tuple[str, ...]] | None = None
        self._rule_set = RuleSet()
        self._current = Snapshot()
        self._lock: Final = Lock()

    def rule_set(self) -> RuleSet:
        """The rules to evaluate now: cheap, and the same object, while nothing has changed."""
        with self._lock:
            return self._refresh()

    def apply_reports(self, reports: Iterable[str]) -> None:
        """Set aside rules that failed or were over budget, by the reports of a micro-batch's tasks.

        A report is JSON (``TaskReports`` in the engine): ``failed``, rule id → reason; ``seconds``, rule id → what its
        evaluation took; ``rows``, the number of transactions that came; ``redecided``, how many were decided again.
        """
        with self._lock:
            self._apply([json.loads(text) for text in reports])

    def _refresh(self) -> RuleSet:
        self._current = self._snapshot()
        revisions = self._current.revisions
        self._set_aside = {
            rule_id: aside for rule_id, aside in self._set_aside.items() if revisions.get(rule_id) == aside.revision
        }
        built_from = (self._current.generation, tuple(sorted(self._set_aside)))
        if built_from != self._built_from:
            self._built_from = built_from
            self._rule_set = self._build()
        self._reporter.report(self._current, self._failing(), self._scopes)
        return self._rule_set

    def _apply(self, reports: Sequence[Any]) -> None:
        over_budget: set[str] = set()
        for report in reports:
            self._metrics.redecided.inc(report["redecided"])
            for rule_id, why in report["failed"].items():
                self._set_rule_aside(rule_id, "failed", f"its evaluation failed: {why}")
            budget = self._budget_seconds + _SECONDS_PER_ROW * report["rows"]
            for rule_id, seconds in report["seconds"].items():
                if seconds > budget:
                    over_budget.add(rule_id)
                    self._strikes[rule_id] += 1
                    if self._strikes[rule_id] >= _MAX_STRIKES:
                        sentence = (
                            f"it costs too much: its measures took {seconds:.1f} s for {report['rows']:,} "
                            f"transactions, {budget:.1f} s are allowed; a shorter window or a narrower `where` "
                            "would help"
                        )
                        self._set_rule_aside(rule_id, "cost", sentence)
        for rule_id in set(self._strikes) - over_budget:
            del self._strikes[rule_id]

    def _build(self) -> RuleSet:
        own_rules = [rule for rule in self._current.rules if rule.scope in self._scopes]
        active = tuple(r for r in own_rules if r.mode is not Mode.PAUSED and r.rule_id not in self._set_aside)
        broken = self._current.broken
        for rule_id, sentence in broken.items():
            if self._known_broken.get(rule_id) != sentence:
                self._metrics.set_aside.labels("broken").inc()
                _log.error("rule set aside", rule=rule_id, reason="broken", error=sentence)
        self._known_broken = broken
        for mode in Mode:
            number = sum(r.mode is mode and r.rule_id not in self._set_aside for r in own_rules)
            self._metrics.rules.labels(mode.value).set(number)
        self._metrics.rules.labels("set_aside").set(len(self._set_aside) + len(broken))
        _log.info("rules loaded", evaluated=len(active), set_aside=len(self._set_aside) + len(broken))
        return RuleSet(active, self._current.lists)

    def _set_rule_aside(self, rule_id: str, reason: str, sentence: str) -> None:
        if rule_id in self._set_aside or rule_id not in self._current.revisions:
            return
        self._set_aside[rule_id] = _SetAside(self._current.revisions[rule_id], sentence)
        self._strikes.pop(rule_id, None)
        self._metrics.set_aside.labels(reason).inc()
        _log.error("rule set aside", rule=rule_id, reason=reason, error=sentence)

    def _failing(self) -> Mapping[str, str]:
        return {rule_id: aside.reason for rule_id, aside in self._set_aside.items()}
