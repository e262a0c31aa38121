"""The notifier's health, as its health endpoint reports it from the start on."""

import time
from dataclasses import dataclass

from cardwatch_notifier.delivery.couriers import Couriers
from cardwatch_notifier.intake.kafka_source import Source
from cardwatch_notifier.outbox.protocol import Outbox


@dataclass(slots=True)
class NotifierReadiness:
    """The notifier's parts as far as they exist; each is None until it does."""

    outbox: Outbox | None = None
    couriers: Couriers | None = None
    source: Source | None = None

    def unhealthy(self) -> str:
        """Why a restart would help, one sentence; empty where it would not."""
        if self.couriers is None:
            return ""
        return self.couriers.problem(now=time.monotonic(), outbox_answers=not self._outbox_problem())

    def not_ready(self) -> str:
        """Why it does not work at this moment, one sentence; empty where it does."""
        return self.unhealthy() or self._outbox_problem() or self._source_problem()

    def _outbox_problem(self) -> str:
        return "waiting for the outbox" if self.outbox is None else self.outbox.problem()

    def _source_problem(self) -> str:
        assigned = self.source is not None and self.source.assigned
        return "" if assigned else "waiting for partitions of the alerts topic"
