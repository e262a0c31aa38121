"""Where the state of a query is.

    <checkpoint_dir>/velocity-…              of versions before the rule engine
    <checkpoint_dir>/engine/<name>           where a query begins
    <checkpoint_dir>/engine/<name>.<n>       built by `rebuild-state`
    <checkpoint_dir>/engine/<name>.current   which of them is used; without it, the first

An object store has no rename, so the file that names the current one is replaced instead.
"""

import json
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.errors import CardwatchError

from cardwatch_detector.velocity.state.files import Files
from cardwatch_detector.velocity.state.record import REBUILD, RECORD_FILE, StateRecord
from cardwatch_detector.velocity.state.spark_logs import CheckpointLogs, DamagedCheckpointError

# Beside it is what versions before the rule engine have left.
ENGINE: Final = "engine"
_QUERY_PREFIX: Final = "velocity-"
_CURRENT: Final = "current"


@dataclass(frozen=True)
class StatePlace:
    """The place of one query's state.

    Attributes:
        files: where checkpoints are.
        checkpoint_dir: of the detector.
        name: of the state under ``ENGINE``.
    """

    files: Files
    checkpoint_dir: str
    name: str

    @property
    def directory(self) -> str:
        """The directory of all states of this version."""
        return f"{self.checkpoint_dir.rstrip('/')}/{ENGINE}"

    def numbered(self, number: int) -> str:
        """The checkpoint that ``rebuild-state`` builds as number 1, 2 and so on."""
        return f"{self.directory}/{self.name}.{number}"

    def numbers(self) -> list[int]:
        """The numbers of those that are there."""
        own = (name.removeprefix(f"{self.name}.") for name in self.files.names(self.directory))
        return sorted(int(number) for number in own if number.isdigit())

    def current(self) -> str:
        """The path of the checkpoint that is used, or that the query begins with.

        Raises:
            CardwatchError: the file that names it is damaged.
        """
        return f"{self.directory}/{self.current_name() or self.name}"

    def current_name(self) -> str:
        """The name in the file that says which checkpoint is used; empty without one.

        Raises:
            CardwatchError: the file is damaged.
        """
        path = f"{self.directory}/{self.name}.{_CURRENT}"
        try:
            text = self.files.read(path)
            return "" if text is None else str(json.loads(text)["checkpoint"])
        except (CardwatchError, ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpointError(
                f"{path} is damaged: expected JSON with the name of a checkpoint; {REBUILD}"
            ) from error

    def use(self, number: int) -> None:
        """Have the query use a numbered checkpoint from now on."""
        content = json.dumps({"checkpoint": f"{self.name}.{number}"})
        self.files.write(f"{self.directory}/{self.name}.{_CURRENT}", content)

    def is_there(self) -> bool:
        """Whether the query has begun, as far as anything shows."""
        names = self.files.names(self.directory)
        return f"{self.name}.{_CURRENT}" in names or self.name in names

    def others(self, scopes: tuple[str, ...]) -> list[str]:
        """The checkpoints of other queries for some of the same scopes: of other sets of scopes, of other keys of
        tokens, and of versions before the rule engine.
        """
        found = []
        for name in self.files.names(self.directory):
            skipped = name == self.name or name.startswith(f"{self.name}.") or name.endswith(f".{_CURRENT}")
            text = None if skipped else self.files.read(f"{self.directory}/{name}/{RECORD_FILE}")
            record = None if text is None else StateRecord.from_json(text)
            if record is not None and set(record.scopes) & set(scopes) and self._is_used(name):
                found.append(f"{self.directory}/{name}")
        root = self.checkpoint_dir.rstrip("/")
        for name in self.files.names(root):
            old = name.startswith(_QUERY_PREFIX) and set(name.split("-")[1:]) & set(scopes)
            if old and CheckpointLogs(self.files, f"{root}/{name}").has_begun:
                found.append(f"{root}/{name}")
        return found

    def _is_used(self, checkpoint: str) -> bool:
        """Whether a checkpoint is the current one of its query."""
        name, _, number = checkpoint.rpartition(".")
        of = StatePlace(self.files, self.checkpoint_dir, name if number.isdigit() and name else checkpoint)
        return of.current() == f"{self.directory}/{checkpoint}"
