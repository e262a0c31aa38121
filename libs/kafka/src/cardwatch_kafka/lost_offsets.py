"""Offsets that a consumer was to read next and that the broker does not have any more.

Kafka's own answer is ``auto.offset.reset``: the consumer silently reads from somewhere else. Here a consumer that finds
its next offset outside of what the broker has stops, and says so; or, where the operator has chosen that, goes on with
the first message there is and counts what is gone. Every consumer that keeps offsets between two runs decides with
``LostOffsets``; Spark, which has its own implementation, is given the same choice (``failOnDataLoss``).

    broker:            first ├──────────────────┤ end
    next offset:   ✗ lost      ✓ read from here     ✗ of another topic, or the broker lost the end of its log
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics

from cardwatch_kafka.messages import TopicPartition

log = get_logger(__name__)


OnLostOffsets = Literal["stop", "continue"]
"""What a consumer does about messages that were deleted before it read them: ``CARDWATCH_ON_LOST_OFFSETS``."""


class LostOffsetsError(CardwatchError):
    """Messages were deleted before they were read, and going on without them was not chosen."""


@dataclass(frozen=True, slots=True)
class OffsetBounds:
    """The offsets that the broker has of a partition.

    Attributes:
        first: of the first message that it still has.
        end: the offset after the last message that can be read; equal to ``first`` if there is none.
    """

    first: int
    end: int

    def __contains__(self, offset: int) -> bool:
        return self.first <= offset <= self.end


class LostOffsets:
    """Decides where a consumer reads its partitions from."""

    def __init__(self, choice: OnLostOffsets, metrics: Metrics) -> None:
        """
        Args:
            metrics: counts the offsets that are gone where the consumer goes on.
        """
        self._choice: Final = choice
        self._metrics: Final = metrics

    def starting_offsets(
        self, next_offsets: Mapping[TopicPartition, int | None], bounds: Mapping[TopicPartition, OffsetBounds]
    ) -> dict[TopicPartition, int]:
        """The offset from which to read each partition.

        That is its next offset, or the first that the broker has where there is no next offset yet.

        Args:
            next_offsets: of each partition, the offset after the last processed message; None if none was processed.
            bounds: what the broker has, of the same partitions.

        Raises:
            LostOffsetsError: next offsets are not there any more, and the consumer is to stop then. The sentence names
                all of them.
        """
        lost = {
            partition: offset
            for partition, offset in next_offsets.items()
            if offset is not None and offset not in bounds[partition]
        }
        for topic in {partition.topic for partition in next_offsets}:
            self._metrics.lost.labels(topic)  # a counter that first appears with its first loss shows no increase
        if lost and self._choice == "stop":
            problems = "; ".join(_problem(partition, offset, bounds[partition]) for partition, offset in lost.items())
            raise LostOffsetsError(
                f"{problems}. Nothing after that is read until somebody decides: restore the messages, or set "
                "CARDWATCH_ON_LOST_OFFSETS=continue to go on with the first message that is there"
            )
        for partition, offset in lost.items():
            self._report(partition, offset, bounds[partition])
        return {
            partition: bounds[partition].first if offset is None or partition in lost else offset
            for partition, offset in next_offsets.items()
        }

    def _report(self, partition: TopicPartition, offset: int, found: OffsetBounds) -> None:
        gone = max(0, found.first - offset)
        self._metrics.lost.labels(partition.topic).inc(gone)
        log.error(
            "messages were deleted before they were read; going on with the first one that is there",
            topic=partition.topic, partition=partition.partition, next_offset=offset, first_offset=found.first,
            end_offset=found.end, offsets_gone=gone,
        )  # fmt: skip


def _problem(partition: TopicPartition, offset: int, found: OffsetBounds) -> str:
    place = f"{partition.topic}, partition {partition.partition}: expected to read on at offset {offset}, "
    if offset < found.first:
        return (
            f"{place}the first that the broker has is {found.first}: {found.first - offset} offsets were deleted "
            "before they were read (the topic's retention)"
        )
    return (
        f"{place}the broker's log ends at {found.end}: the topic was deleted and created again, or the broker lost the "
        "end of its log"
    )
