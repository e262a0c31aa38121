"""Where the detector was: up to there nothing may be published again, and from there on nothing may be missing."""

from collections.abc import Callable
from enum import StrEnum

from cardwatch_contracts.errors import CardwatchError, ConfigurationError

from cardwatch_detector.velocity.state.files import Files
from cardwatch_detector.velocity.state.place import StatePlace
from cardwatch_detector.velocity.state.spark_logs import CheckpointLogs, Position


class PositionFrom(StrEnum):
    """What tells where the detector was."""

    CHECKPOINT = "checkpoint"
    NOW = "now"
    BEGINNING = "beginning"


_WITHOUT = (
    "--position now takes the topic's end (alerts of transactions that were not evaluated before are then missing), "
    "--position beginning evaluates all that the topic has (the same alerts with the same ids are published again)"
)


def last_position(
    place: StatePlace, scopes: tuple[str, ...], chosen: str, positions: Callable[[Files, str], Position | None]
) -> Position:
    """The position of the old checkpoint: of the query's own one, or where there is none of the only other one.

    Args:
        chosen: a checkpoint's path that is used instead; empty for none.
        positions: ``checkpoint_position``; tests pass others.

    Raises:
        ConfigurationError: there is no old checkpoint, or there are several.
        CardwatchError: its logs are damaged.
    """
    if chosen:
        found = positions(place.files, chosen)
        if found is None:
            raise ConfigurationError(f"--from {chosen}: expected a checkpoint with a committed micro-batch, found none")
        return found
    try:
        own = place.current()
        found = positions(place.files, own)
    except CardwatchError as error:
        raise CardwatchError(f"{error}, so where the detector was is not known: {_WITHOUT}") from error
    if found is not None:
        return found
    others = [path for path in place.others(scopes) if positions(place.files, path) is not None]
    if len(others) == 1 and (other := positions(place.files, others[0])) is not None:
        return other
    if others:
        raise ConfigurationError(
            f"there is no old checkpoint in {own}, and there are several others: --from names the one that this "
            f"detector goes on from ({', '.join(others)})"
        )
    raise ConfigurationError(
        f"there is no old checkpoint in {own}, so where the detector was is not known: --from names another "
        f"checkpoint's directory, {_WITHOUT}"
    )


def checkpoint_position(files: Files, path: str) -> Position | None:
    """The position of a checkpoint; None if it has none.

    Raises:
        CardwatchError: its logs are damaged.
    """
    return CheckpointLogs(files, path).position()
