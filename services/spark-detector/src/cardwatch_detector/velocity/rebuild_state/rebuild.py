"""Builds the state of one query beside the old one, and then has the query use it.

A kill between any two steps leaves the old state in use, or the new one. The next run goes on with what was loaded if
the detector is still at the same position, and starts over otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger

from cardwatch_detector.velocity.rebuild_state.plan import PLAN_FILE, RebuildPlan
from cardwatch_detector.velocity.state.place import StatePlace
from cardwatch_detector.velocity.state.record import RECORD_FILE, StateRecord
from cardwatch_detector.velocity.state.spark_logs import CheckpointLogs, DamagedCheckpointError

_log = get_logger(__name__)

Load = Callable[[RebuildPlan, str], None]
"""Loads what a plan says into a checkpoint's path, from where it is."""


@dataclass(frozen=True)
class Rebuild:
    """The rebuild of one query's state."""

    place: StatePlace
    record: StateRecord

    def run(self, plan: RebuildPlan, load: Load) -> str:
        """Build the state of a plan's position, and use it; returns its path.

        Raises:
            StoppedError: the process was asked to stop.
            CardwatchError: the messages could not be loaded.
        """
        number, is_new = self._unfinished(plan)
        path = self.place.numbered(number)
        if is_new:
            self.place.files.write(f"{path}/{PLAN_FILE}", plan.to_json())
        if not plan.reads_nothing:
            load(plan, path)
            self._finish(plan, path)
        return self._use(number)

    def begin_without_state(self) -> str:
        """Have the query begin with no state at the beginning of the topic; returns the state's path."""
        return self._use(self._next_number())

    def _unfinished(self, plan: RebuildPlan) -> tuple[int, bool]:
        """The number of the checkpoint to build, and whether it is a new one; those of other plans are deleted."""
        files, wanted = self.place.files, plan.to_json()
        for number in self._unused():
            path = self.place.numbered(number)
            try:
                is_this = files.read(f"{path}/{PLAN_FILE}") == wanted
                CheckpointLogs(files, path).require_complete()
            except CardwatchError:  # a kill in the middle of a write; it is deleted in the end
                is_this = False
            if is_this:
                _log.info("going on with an unfinished rebuild", checkpoint=path)
                return number, False
        return self._next_number(), True

    def _finish(self, plan: RebuildPlan, path: str) -> None:
        """Set the position: the last micro-batch may have read further, and left out what lies behind it."""
        logs = CheckpointLogs(self.place.files, path)
        loaded = logs.position()
        if loaded is None or any(
            loaded.offsets.get(topic, {}).get(partition, 0) < offset
            for topic, partitions in plan.position.offsets.items()
            for partition, offset in partitions.items()
        ):
            raise DamagedCheckpointError(f"{path} has not been loaded up to the position: run rebuild-state again")
        logs.move(plan.position)

    def _use(self, number: int) -> str:
        path, files = self.place.numbered(number), self.place.files
        files.write(f"{path}/{RECORD_FILE}", self.record.to_json())
        self.place.use(number)
        files.delete(f"{path}/{PLAN_FILE}")
        self._delete_unused()
        return path

    def _unused(self) -> Sequence[int]:
        try:
            current = self.place.current()
        except CardwatchError:  # its file is damaged, and replaced in the end
            current = ""
        return [number for number in self.place.numbers() if self.place.numbered(number) != current]

    def _next_number(self) -> int:
        return max([0, *self.place.numbers()]) + 1

    def _delete_unused(self) -> None:
        """Delete the states that are not used any more: the old one, and unfinished ones."""
        old: Final = [self.place.numbered(number) for number in self._unused()]
        first = f"{self.place.directory}/{self.place.name}"
        for path in [*old, first]:
            if self.place.files.exists(path):
                self.place.files.delete(path)
                _log.info("deleted the old state", checkpoint=path)
