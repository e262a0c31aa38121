"""Tracing in the detector: an alert continues the trace of the transaction whose arrival raised it.

Neither state nor alerts know of traces. While traces are on, the context of a message's headers goes with it to its
keys, and the engine names the next span in the headers of the alert (``ResultRows`` in the engine); here that span is
recorded once the micro-batch is published. A repeated micro-batch finds the same traces.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cardwatch_service.tracing import ALERT_ID, OUTCOME, RULE_ID, Tracer

_HEXADECIMAL: Final = 16
_NANOSECONDS_PER_MICROSECOND: Final = 1000


@dataclass(frozen=True)
class AlertTraces:
    """Records the spans in which alerts are raised: one per alert whose transaction's trace is recorded.

    Attributes:
        topic: full name of the silver topic.
    """

    tracer: Tracer
    topic: str

    def record(self, spans: Iterable[Mapping[str, Any]], began_us: int, ended_us: int) -> None:
        """Record the spans of a micro-batch.

        Args:
            spans: as the engine reports them.
            began_us: when work on the micro-batch began, microseconds since 1970-01-01 UTC.
            ended_us: when the broker had acknowledged all of its alerts.
        """
        for found in spans:
            span = self.tracer.start_process(
                self.topic,
                found["partition"],
                found["offset"],
                context=f"{found['parent']} {found['state']}".strip(),
                start_ns=began_us * _NANOSECONDS_PER_MICROSECOND,
                span_id=int(found["span_id"], _HEXADECIMAL),
            )
            span.set_attributes({ALERT_ID: found["alert_id"], RULE_ID: found["rule_id"], OUTCOME: found["status"]})
            span.add_event("evaluated", found["detected_at"] * _NANOSECONDS_PER_MICROSECOND)
            span.end(at_ns=ended_us * _NANOSECONDS_PER_MICROSECOND)
