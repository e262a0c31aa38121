"""Reading and writing rules, lists and the detectors' statuses."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service import logs
from cardwatch_service.retry_pauses import RULE_CONFLICT
from cardwatch_units.timestamps import now_microseconds
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from cardwatch_rulebook.approvals import Approval, Approvals
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.lists import ListBook, ListEntry
from cardwatch_rulebook.log import BackgroundWriter, Log
from cardwatch_rulebook.messages import Reader, Writer
from cardwatch_rulebook.planning import Plan
from cardwatch_rulebook.snapshot import Snapshot
from cardwatch_rulebook.status import RuleStatus, StatusChanges

_ATTEMPTS: Final = 10

log = logs.get_logger(__name__)

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a plan.

    Attributes:
        before: the rule as the plan found it, None where there was none.
        change: the change that counts from now on; None where there was nothing to do.
        overtaken_by: changes to the same rule that other writers made meanwhile. The plan was repeated on top of them.
    """

    before: Change | None
    change: Change | None
    overtaken_by: tuple[Change, ...] = ()


class RuleStore:
    """The rules of a deployment. Several may write at the same time: no change is lost silently."""

    def __init__(self, log: Log, reader: Reader[Change], writer: Writer) -> None:
        self._log: Final = log
        self._reader: Final = reader
        self._writer: Final = writer
        self._book: Final = Rulebook()

    @property
    def skipped(self) -> int:
        """How many messages could not be read."""
        return self._reader.skipped

    def read(self) -> Rulebook:
        """The rulebook up to the current end of the topic.

        Raises:
            CardwatchError: broker or registry do not answer, or there is no such topic.
        """
        for change in self._reader.read(self._log.read()):
            self._book.accept(change)
        return self._book

    def append(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """Write changes and read back which of them count; returns the others: somebody else came first.

        Raises:
            CardwatchError: broker or registry do not answer. Whether the changes were written is then unknown until
                the next ``read``.
        """
        self._log.append([self._writer(change) for change in changes])
        book = self.read()
        return tuple(change for change in changes if book.revision(change.rule_id, change.revision) != change)

    def carry_out(self, plans: Sequence[Plan]) -> list[Outcome]:
        """Make the changes of plans for different rules, one outcome per plan, in order.

        All changes are computed before anything is written. A plan that loses against somebody else's change of the
        same rule is repeated on top of that.

        Raises:
            CardwatchError: a plan cannot be carried out, broker or registry do not answer, or others keep
                changing the rule. Says which rules have been written before, if any.
        """
        tasks = [_Task(plan) for plan in plans]
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(_OvertakenError),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=RULE_CONFLICT,
                reraise=True,
            ):
                with attempt:
                    self._attempt([task for task in tasks if task.outcome is None])
        except CardwatchError as error:
            written = [task.plan.rule_id for task in tasks if task.outcome is not None and task.outcome.change]
            if not written:
                raise
            raise CardwatchError(f"{error} (written before: {', '.join(written)})") from error
        return [task.outcome for task in tasks if task.outcome is not None]

    def _attempt(self, tasks: Sequence["_Task"]) -> None:
        """Carry out what is still to do.

        Raises:
            _OvertakenError: somebody else's changes came first for some of it.
        """
        book = self.read()
        before = {task.plan.rule_id: book.latest(task.plan.rule_id) for task in tasks}
        changes = [(task, task.plan.make(book)) for task in tasks]
        lost = self.append([change for _, change in changes if change is not None])
        for task, change in changes:
            earlier = before[task.plan.rule_id]
            if task.started_from is None:
                task.started_from = earlier.revision if earlier else 0
            if change is None or change not in lost:
                others = tuple(
                    other
                    for other in book.history(task.plan.rule_id)
                    if other.revision > task.started_from and (change is None or other.revision < change.revision)
                )
                task.outcome = Outcome(earlier, change, others)
        if lost:
            raise _OvertakenError(
                f"others keep changing {', '.join(sorted(change.rule_id for change in lost))}: "
                f"{_ATTEMPTS} attempts were overtaken; try again"
            )

    def close(self) -> None:
        """Disconnect."""
        self._log.close()


class ListStore:
    """The lists of a deployment. The last entry of a value counts."""

    def __init__(self, log: Log, reader: Reader[ListEntry], writer: Writer) -> None:
        self._log: Final = log
        self._reader: Final = reader
        self._writer: Final = writer
        self._book: Final = ListBook()

    def read(self) -> ListBook:
        """The lists up to the current end of the topic.

        Raises:
            CardwatchError: broker or registry do not answer, or there is no such topic.
        """
        for entry in self.read_changes():
            self._book.accept(entry)
        return self._book

    def read_changes(self) -> Iterator[ListEntry]:
        """The changes of all lists since the last read of any kind (at first: all), in the order of the topic.

        Raises:
            CardwatchError: broker or registry do not answer, or there is no such topic.
        """
        return self._reader.read(self._log.read())

    def append(self, entries: Sequence[ListEntry]) -> None:
        """Write entries.

        Raises:
            CardwatchError: a value is a card number (then nothing is written), or broker or registry do not answer.
        """
        self._log.append([self._writer(entry) for entry in entries])

    def close(self) -> None:
        """Disconnect."""
        self._log.close()


class ApprovalStore:
    """The approvals of a deployment's changes of rules."""

    def __init__(self, log: Log, reader: Reader[Approval], writer: Writer) -> None:
        self._log: Final = log
        self._reader: Final = reader
        self._writer: Final = writer
        self._approvals: Final = Approvals()

    def read(self) -> Approvals:
        """The approvals up to the current end of the topic.

        Raises:
            CardwatchError: broker or registry do not answer, or there is no such topic.
        """
        for approval in self._reader.read(self._log.read()):
            self._approvals.accept(approval)
        return self._approvals

    def append(self, approvals: Sequence[Approval]) -> None:
        """Write approvals.

        Raises:
            CardwatchError: a text is a card number (then nothing is written), or broker or registry do not answer.
        """
        self._log.append([self._writer(approval) for approval in approvals])

    def close(self) -> None:
        """Disconnect."""
        self._log.close()


class StatusStore:
    """The state of each rule in each detector."""

    def __init__(self, log: Log, reader: Reader[RuleStatus]) -> None:
        self._log: Final = log
        self._reader: Final = reader
        self._statuses: Final[dict[str, dict[str, RuleStatus]]] = {}

    def read(self) -> Mapping[str, Mapping[str, RuleStatus]]:
        """Rule id → detector → its last status, up to the current end of the topic.

        Raises:
            CardwatchError: broker or registry do not answer, or there is no such topic.
        """
        for status in self._reader.read(self._log.read()):
            self._statuses.setdefault(status.rule_id, {})[status.detector] = status
        return self._statuses

    def close(self) -> None:
        """Disconnect."""
        self._log.close()


class StatusReporter:
    """Publishes what a detector does with its rules; for one thread. Never raises."""

    def __init__(self, status_topic: BackgroundWriter, writer: Writer, detector: str) -> None:
        self._status_topic: Final = status_topic
        self._writer: Final = writer
        self._changes: Final = StatusChanges(detector)
        self._unsent: list[RuleStatus] = []

    def report(
        self, snapshot: Snapshot, failing: Mapping[str, str] = _NONE, scopes: Collection[str] | None = None
    ) -> None:
        """Publish the states that have changed since the last call; cheap if none has.

        Args:
            snapshot: the rules and lists that the detector works with.
            failing: rules of it that fail when they are evaluated, id → one sentence.
            scopes: those that the detector runs; rules of other scopes are not reported. None for all.
        """
        self._unsent += self._changes.since_last(snapshot, failing, scopes, now_microseconds())
        if not self._unsent:
            return
        try:
            self._status_topic.write([self._writer(status) for status in self._unsent])
        except CardwatchError as error:  # the registry does not answer: the next report includes these states
            log.warning("rule states not reported", why=str(error))
        else:
            self._unsent = []

    def close(self) -> None:
        """Send what is queued, and disconnect."""
        self._status_topic.close()


@dataclass(slots=True)
class _Task:
    """A plan that is being carried out.

    Attributes:
        started_from: the rule's revision at the first attempt.
        outcome: None until the plan is carried out.
    """

    plan: Plan
    started_from: int | None = None
    outcome: Outcome | None = None


class _OvertakenError(CardwatchError):
    """Somebody else's change was written first."""
