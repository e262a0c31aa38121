"""What the detector does with the report of a published micro-batch: it counts, logs, traces, and judges rules."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardwatch_service.logs import get_logger
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_detector.velocity.metrics import AlertMetrics, LateMetrics
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_detector.velocity.rules.active_rules import ActiveRules

_log = get_logger(__name__)


@dataclass(frozen=True)
class BatchReports:
    """Takes the reports of all queries of this process.

    Attributes:
        traces: None where tracing is off.
    """

    alerts: AlertMetrics
    late: LateMetrics
    rules: ActiveRules
    traces: AlertTraces | None = None

    def take(self, query: str, report: Mapping[str, Any]) -> None:
        """Take the report of one micro-batch, after it was published; they come in their order.

        Args:
            query: the query's name, for the log.
            report: as ``BatchReport`` in the engine makes it.
        """
        self.rules.apply_reports(report["rules"])
        self.alerts.count(report["alerts"], report["latencies"])
        if self.traces is not None:
            self.traces.record(map(json.loads, report["spans"]), report["began_at"], report["ended_at"])
        late: Mapping[str, int] = report["late"]
        if late:
            transactions = sum(late.values())
            by_scope: Counter[str] = Counter()
            for scopes, number in sorted(late.items()):
                by_scope.update(dict.fromkeys(scopes.split(","), number))
            self.late.count(transactions, by_scope)
            _log.info(
                "transactions arrived too late and were not evaluated; they are on the late topic",
                query=query,
                transactions=transactions,
                scopes=dict(by_scope),
                latest_by_seconds=report["latest_by"] / MICROSECONDS_PER_SECOND,
            )
