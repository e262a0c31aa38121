"""Tells many invalid messages from a registry that has lost schemas, by numbers of messages alone. Pure: no I/O.

One message whose schema id is not registered is an invalid message. Where most messages have such ids, the registry is
wrong: it was emptied and filled again with other ids, restored from an old copy, or is another deployment's. Then the
messages wait until somebody has repaired it, instead of becoming dead letters one by one.

Whoever may write to the topic can send such messages too. He has to send more than all others together to make them
wait, and then not for ever: after MAX_WAIT_SECONDS they are invalid after all, and for TRUST_SECONDS nothing waits.
"""

from collections import deque
from typing import Final

WINDOW_MESSAGES: Final = 1_000
MIN_UNKNOWN_MESSAGES: Final = 20
MAX_WAIT_SECONDS: Final = 900.0
TRUST_SECONDS: Final = 3_600.0


class UnknownIdWindow:
    """The newest messages of one topic: how many had a registered schema id."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._waiting_since: float | None = None
        self._trusted_until = float("-inf")

    def must_wait(self, known: int, unknown: int, now: float) -> bool:
        """Whether a batch has to wait: with it, most of the newest messages have unknown ids.

        That is: more than half of the last WINDOW_MESSAGES (or of all so far), and MIN_UNKNOWN_MESSAGES or more. A
        batch that waits is not counted, so that asking again with the same batch gives the same answer.

        Args:
            known: its messages whose schema ids are registered.
            unknown: its messages whose are not.
            now: seconds of a monotonic clock.
        """
        if unknown and self._is_outage(known, unknown) and now >= self._trusted_until:
            if self._waiting_since is None:
                self._waiting_since = now
            if now - self._waiting_since < MAX_WAIT_SECONDS:
                return True
            self._trusted_until = now + TRUST_SECONDS
        self._waiting_since = None
        self._count(known, unknown)
        return False

    def _is_outage(self, known: int, unknown: int) -> bool:
        total = known + unknown
        for past_known, past_unknown in reversed(self._batches):
            if total >= WINDOW_MESSAGES:
                break
            total += past_known + past_unknown
            unknown += past_unknown
        return unknown >= MIN_UNKNOWN_MESSAGES and 2 * unknown > total

    def _count(self, known: int, unknown: int) -> None:
        """Count a batch; small ones are joined, so that the window is short."""
        if self._batches and sum(self._batches[-1]) + known + unknown <= WINDOW_MESSAGES // 10:
            (past_known, past_unknown) = self._batches.pop()
            known, unknown = past_known + known, past_unknown + unknown
        self._batches.append((known, unknown))
        while len(self._batches) > 1 and sum(map(sum, self._batches)) - sum(self._batches[0]) >= WINDOW_MESSAGES:
            self._batches.popleft()
