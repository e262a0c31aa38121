"""What a checkpoint's state was made with, in a file beside Spark's own, and which differences a detector refuses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from cardwatch_units.durations import format_duration

RECORD_FILE: Final = "cardwatch-state.json"

REBUILD: Final = "stop this detector and run `cardwatch-detector rebuild-state` with its settings"
"""The end of a refusal: what to do."""


@dataclass(frozen=True)
class StateRecord:
    """What a state was made with.

    Attributes:
        layout: how the rule engine lays it out (``VelocityOperator.stateLayout``).
        scopes: in alphabetical order.
        partitions: of the state.
        horizons_us: scope → how far back transactions are kept, microseconds.
    """

    layout: str
    scopes: tuple[str, ...]
    partitions: int
    horizons_us: Mapping[str, int]

    def to_json(self) -> str:
        """The record's file."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> "StateRecord | None":
        """The record of a file; None if it is damaged."""
        try:
            found = json.loads(text)
            return StateRecord(
                layout=str(found["layout"]),
                scopes=tuple(str(scope) for scope in found["scopes"]),
                partitions=int(found["partitions"]),
                horizons_us={str(scope): int(us) for scope, us in found["horizons_us"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def why_not_used_by(self, wanted: "StateRecord") -> str:
        """Why a detector with other settings, or of another version, cannot go on with this state, as the part of a
        sentence that follows the state's place; empty if it can.
        """
        if self.layout != wanted.layout:
            return (
                f"has state of another layout ({self.layout}) than this version reads ({wanted.layout}): start the "
                f"version that wrote it, or {REBUILD}, which builds it from the silver topic"
            )
        if self.scopes != wanted.scopes:
            return f"has state of the scopes {_listed(self.scopes)}, expected {_listed(wanted.scopes)}: {REBUILD}"
        if self.partitions != wanted.partitions:
            return (
                f"has state in {self.partitions} partitions, but CARDWATCH_DETECTOR_PARTITIONS is "
                f"{wanted.partitions}: set it to {self.partitions} again, or {REBUILD}"
            )
        for scope, horizon_us in wanted.horizons_us.items():
            kept_us = self.horizons_us.get(scope, 0)
            if horizon_us > kept_us:
                return (
                    f"keeps the transactions of {format_duration(kept_us)} for the scope {scope}, but "
                    f"CARDWATCH_DETECTOR_HORIZON_{scope.upper()} is {format_duration(horizon_us)}: set it to "
                    f"{format_duration(kept_us)} again, or {REBUILD}"
                )
        return ""

    def with_horizons_of(self, wanted: "StateRecord") -> "StateRecord":
        """This record with shorter horizons: what is evicted with them does not come back with longer ones."""
        return replace(self, horizons_us=wanted.horizons_us)


def _listed(scopes: Sequence[str]) -> str:
    return ", ".join(scopes)
