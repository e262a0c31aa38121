"""What an outcome means for a delivery: done, tried again later, or parked."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND

from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.retry_schedule import RetrySchedule
from cardwatch_notifier.outbox.protocol import Attempt, Delivery, DeliveryState


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How often, and after which pauses, a delivery is tried again.

    Attributes:
        transient: pauses after transient failures (no answer, 5xx, 408, 425, 429).
        rejected: pauses after refusals that somebody has to act on (any other answer but 2xx and 410).
        max_failures: after so many such failures the delivery is parked as failed. Attempts are counted, not time: a
            notifier that was down for days gives nothing up when it comes back.
        max_rejections: after so many refusals the delivery is parked as failed.
        jitter: a number in [0, 1) that spreads each pause.
    """

    transient: RetrySchedule
    rejected: RetrySchedule
    max_failures: int
    max_rejections: int
    jitter: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)

    def decide(self, delivery: Delivery, outcome: Outcome, now: int) -> Attempt:
        """The attempt to record in the outbox. ``now``: microseconds since 1970-01-01 UTC."""
        sequence = delivery.message.sequence
        match outcome:
            case Delivered():
                return Attempt(sequence, DeliveryState.DELIVERED, now)
            case Gone(why):
                # Stays due: it goes out first once the receiver is enabled again.
                return Attempt(sequence, DeliveryState.PENDING, now, next_attempt_at=now, counted=False, error=why)
            case TryAgain(why, after_seconds):
                rejected, schedule, most = False, self.transient, self.max_failures
                failures = delivery.attempts - delivery.rejections + 1
            case Rejected(why, after_seconds):
                rejected, schedule, most = True, self.rejected, self.max_rejections
                failures = delivery.rejections + 1
        if failures >= most:
            return Attempt(sequence, DeliveryState.FAILED, now, rejected=rejected, error=why)
        pause = round(schedule.pause(failures, self.jitter, after_seconds) * MICROSECONDS_PER_SECOND)
        return Attempt(sequence, DeliveryState.PENDING, now, next_attempt_at=now + pause, rejected=rejected, error=why)
