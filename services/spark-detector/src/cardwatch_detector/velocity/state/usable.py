"""Whether a detector may go on with the state that is there: it refuses what would make it lose or repeat alerts."""

import re
from collections.abc import Callable
from typing import Final

from cardwatch_contracts.errors import CardwatchError, ConfigurationError

from cardwatch_detector.velocity.state.place import StatePlace
from cardwatch_detector.velocity.state.record import REBUILD, RECORD_FILE, StateRecord
from cardwatch_detector.velocity.state.spark_logs import CheckpointLogs

# A failing query's reason if its state cannot be read: a file of the state, or a value in it, by the rule engine.
_STATE_ERROR: Final = re.compile(
    r"(FileNotFound|Checksum|EOF|ZipException|Corrupt).*/state/|/state/.*(does not exist|Checksum)"
    r"|the state of a key|a block of the state|\bhas layout \d"
)


def usable_checkpoint(
    place: StatePlace, wanted: StateRecord, *, is_second_view: bool, has_published: Callable[[], bool]
) -> str:
    """The path of the checkpoint that a query continues from or begins with; its record is there afterwards.

    Args:
        is_second_view: whether the query is the view of a next key, which begins beside another one.
        has_published: whether there are alerts of these scopes; asked only where there is no state.

    Raises:
        ConfigurationError: the state is of another layout or other settings, or it is lost.
        CardwatchError: the state is damaged.
    """
    path = place.current()
    try:
        text = place.files.read(f"{path}/{RECORD_FILE}")
    except CardwatchError as error:
        raise CardwatchError(f"{error}; {REBUILD}") from error
    if text is None:
        _require_fresh(place, wanted, is_second_view=is_second_view, has_published=has_published)
    found = wanted if text is None else StateRecord.from_json(text)
    if found is None:
        raise ConfigurationError(f"{path}/{RECORD_FILE} is damaged or of a later version: {REBUILD}")
    refusal = found.why_not_used_by(wanted)
    if refusal:
        raise ConfigurationError(f"{path} {refusal}")
    try:
        CheckpointLogs(place.files, path).require_complete()
    except CardwatchError as error:
        raise CardwatchError(f"{error}; {REBUILD}") from error
    if text is None or found.horizons_us != wanted.horizons_us:
        place.files.write(f"{path}/{RECORD_FILE}", found.with_horizons_of(wanted).to_json())
    return path


def _require_fresh(
    place: StatePlace, wanted: StateRecord, *, is_second_view: bool, has_published: Callable[[], bool]
) -> None:
    """Check that nothing shows that there was state before.

    Raises:
        ConfigurationError: something does.
    """
    path = place.current()
    if place.current_name() and not place.files.exists(path):
        raise ConfigurationError(f"the state in {path} is lost: the directory is not there; {REBUILD}")
    if CheckpointLogs(place.files, path).has_begun:
        raise ConfigurationError(
            f"{path} has no {RECORD_FILE}: it was lost, or an earlier version wrote this state; {REBUILD}"
        )
    if is_second_view:
        return
    others = place.others(wanted.scopes)
    if others:
        raise ConfigurationError(
            f"there is no state of the scopes {', '.join(wanted.scopes)} in {path}, but other state of some of them "
            f"({', '.join(others)}): it has other scopes, another token key, or is of an earlier version; {REBUILD}"
        )
    if has_published():
        raise ConfigurationError(
            f"there is no state in {path}, but alerts of the scopes {', '.join(wanted.scopes)} have been published: "
            f"the checkpoint is lost, or is in another directory; {REBUILD}, whose help says how to begin without state"
        )


def require_readable_state(query: str, reason: str) -> None:
    """Check that a query has not failed because its state cannot be read: starting it again does not help there.

    Args:
        reason: of the failure, one sentence.

    Raises:
        CardwatchError: it has.
    """
    if _STATE_ERROR.search(reason):
        raise CardwatchError(f"the state of the query {query} cannot be read: {reason} If it is damaged, {REBUILD}")
