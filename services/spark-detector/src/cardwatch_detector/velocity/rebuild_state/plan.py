"""What a rebuild does, decided before it begins and kept beside what it builds.

silver  ──┬──────────────── read, nothing is published ───────────────┬── the detector goes on, and publishes ──▶
        start                                                     position
          ◀───────────── the longest horizon, at least ──────────────▶
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_units.timestamps import MICROSECONDS_PER_HOUR, MICROSECONDS_PER_MILLISECOND

from cardwatch_detector.runtime.spark_offsets import Offsets
from cardwatch_detector.velocity.state.record import StateRecord
from cardwatch_detector.velocity.state.spark_logs import Position

PLAN_FILE: Final = "cardwatch-rebuild.json"

# Kafka's names, in Spark's options, for a partition's first message and for its end.
EARLIEST, LATEST = -2, -1

# An event time may be later than the broker's time of its message, by the enricher's tolerance: an hour is more.
_MARGIN_US: Final = MICROSECONDS_PER_HOUR


@dataclass(frozen=True)
class RebuildPlan:
    """What a rebuild reads.

    Attributes:
        record: what the state is made with.
        position: messages before it are read without publishing anything; with its watermark the detector goes on.
        start: the first message of each partition to read.
    """

    record: StateRecord
    position: Position
    start: Offsets

    def to_json(self) -> str:
        """The plan's file; equal plans have equal files."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @property
    def messages(self) -> int:
        """How many messages of transactions and profiles lie before the position, as far as the start tells."""
        ends, starts = self.position.offsets, self.start
        return sum(
            max(0, end - max(0, starts.get(topic, {}).get(partition, 0)))
            for topic, partitions in ends.items()
            for partition, end in partitions.items()
        )

    @property
    def reads_nothing(self) -> bool:
        """Whether no message lies between start and position."""
        return self.messages == 0


def needed_since_ms(position: Position, horizons_us: Mapping[str, int]) -> int:
    """The time from which messages may be needed: a broker's time, milliseconds since 1970-01-01 UTC.

    A transaction is needed if it is later than the watermark less the horizon, and its message was appended later than
    its event time less the enricher's tolerance.
    """
    back_us = max(horizons_us.values()) + _MARGIN_US
    return max(0, position.watermark_ms - back_us // MICROSECONDS_PER_MILLISECOND)


def start_offset(*, first: int, since: int, until: int) -> int:
    """Where to start reading a partition: at the first message that is needed, but before ``until`` if there is one.

    A micro-batch is the place where Spark keeps the position, so there has to be one.

    Args:
        first: offset of the first message that the partition still has.
        since: offset of the first message that is needed.
        until: of the position.
    """
    return max(first, min(since, until - 1))


def require_complete_history(
    topic: str, *, first: Mapping[int, int], since: Mapping[int, int], until: Mapping[int, int], since_text: str
) -> None:
    """Check that a topic still has all messages that are needed.

    Args:
        first: partition → offset of its first message.
        since: partition → offset of the first message that is needed.
        until: partition → offset of the position.
        since_text: the time from which messages are needed, for the error.

    Raises:
        ConfigurationError: retention may have deleted messages that are needed.
    """
    short = [
        partition
        for partition, until_offset in sorted(until.items())
        if first.get(partition, 0) > 0 and since.get(partition, 0) <= first[partition] and until_offset > 0
    ]
    if short:
        raise ConfigurationError(
            f"{topic} does not reach back to {since_text}, which the horizon of the state needs: its partitions "
            f"{', '.join(map(str, short))} begin with a later message, retention has deleted those before. With "
            "--incomplete-history the state is built from what is there; rules whose windows reach further back may "
            "then miss alerts, or raise wrong ones, until a horizon has passed"
        )
