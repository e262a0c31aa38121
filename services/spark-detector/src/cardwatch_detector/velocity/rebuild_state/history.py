"""What the topics hold for a rebuild."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from cardwatch_contracts.errors import ConfigurationError, RefusedError
from cardwatch_contracts.late_headers import DETECTOR, SILVER_OFFSET, SILVER_PARTITION
from cardwatch_contracts.topics import CARD_PROFILES, TRANSACTIONS_LATE, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_kafka.range_reader import RangeReader
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND

from cardwatch_detector.runtime.spark_offsets import Offsets, partition_offsets
from cardwatch_detector.velocity.kafka_clients import NEWEST_MESSAGES, topic_reader
from cardwatch_detector.velocity.rebuild_state.plan import (
    EARLIEST,
    LATEST,
    RebuildPlan,
    needed_since_ms,
    require_complete_history,
    start_offset,
)
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.state.record import StateRecord
from cardwatch_detector.velocity.state.spark_logs import Position

_MILLISECONDS_PER_SECOND: Final = 1000


class History:
    """Answers questions about the topics of one detector."""

    def __init__(self, service: ServiceSettings, settings: VelocitySettings, reader: RangeReader) -> None:
        self._service: Final = service
        self._settings: Final = settings
        self._reader: Final = reader
        self._silver: Final = TRANSACTIONS_SILVER.name(service.topic_prefix)
        self._profiles: Final = CARD_PROFILES.name(service.topic_prefix)

    @staticmethod
    @contextmanager
    def open(service: ServiceSettings, settings: VelocitySettings) -> Iterator["History"]:
        """Connected for the length of a ``with``."""
        reader = topic_reader(service.kafka_config())
        try:
            yield History(service, settings, reader)
        finally:
            reader.close()

    def now(self, topics: list[str]) -> Position:
        """The position of a detector that has read all that the topics hold now.

        Raises:
            CardwatchError: broker or registry do not answer.
        """
        offsets: Offsets = {}
        for at, end in self._reader.end_offsets(*topics).items():
            offsets.setdefault(at.topic, {})[str(at.partition)] = end
        return Position(offsets, self._watermark_ms(partition_offsets(offsets, self._silver)))

    def plan(self, record: StateRecord, position: Position, topics: list[str], *, incomplete: bool) -> RebuildPlan:
        """What to read for the state of a position.

        Args:
            topics: those that the query reads.
            incomplete: whether to go on with what there is where the topic does not reach back far enough.

        Raises:
            ConfigurationError: it does not, or the position is not one of these topics.
            CardwatchError: the broker does not answer.
        """
        until = partition_offsets(position.offsets, self._silver)
        since_ms = needed_since_ms(position, record.horizons_us)
        first, since = self._reader.first_offsets(self._silver), self._reader.offsets_since(self._silver, since_ms)
        self._require_position(until, first)
        if not incomplete:
            at = datetime.fromtimestamp(since_ms / _MILLISECONDS_PER_SECOND, UTC)
            require_complete_history(
                self._silver, first=first, since=since, until=until, since_text=f"{at:%Y-%m-%dT%H:%M:%SZ}"
            )
        start: Offsets = {
            self._silver: {
                str(partition): start_offset(first=of, since=since[partition], until=until[partition])
                if partition in until
                else LATEST  # it was added later: nothing of it has been read
                for partition, of in first.items()
            }
        }
        if self._profiles in topics:
            known = partition_offsets(position.offsets, self._profiles)
            start[self._profiles] = {
                str(partition): EARLIEST if partition in known else LATEST
                for partition in self._reader.partitions(self._profiles)
            }
        return RebuildPlan(record, position, start)

    def known_late(self, plan: RebuildPlan) -> list[tuple[int, int]]:
        """Partition and offset of the transactions that this detector has published as too late: it has not evaluated
        them, and they are in no window.

        Raises:
            CardwatchError: the broker does not answer.
        """
        starts = partition_offsets(plan.start, self._silver)
        found = set()
        for message in self._reader.read_all(TRANSACTIONS_LATE.name(self._service.topic_prefix)):
            headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers}
            if headers.get(DETECTOR) != self._settings.name:
                continue
            with suppress(KeyError, ValueError):
                partition, offset = int(headers[SILVER_PARTITION]), int(headers[SILVER_OFFSET])
                if offset >= starts.get(partition, 0):
                    found.add((partition, offset))
        return sorted(found)

    def _require_position(self, until: dict[int, int], first: dict[int, int]) -> None:
        deleted = {partition: offset for partition, offset in until.items() if offset < first.get(partition, 0)}
        if deleted:
            partition, offset = min(deleted.items())
            raise ConfigurationError(
                f"{self._silver} has no offset {offset} in partition {partition} any more: messages after the old "
                "checkpoint's position were deleted before the detector read them. Restore them, or give them up with "
                "--position now, which goes on at the topic's end, or --position beginning"
            )
        ends = {at.partition: end for at, end in self._reader.end_offsets(self._silver).items()}
        beyond = [partition for partition, offset in until.items() if offset > ends.get(partition, 0)]
        if not until or beyond:
            raise ConfigurationError(
                f"the old checkpoint's position is not one of {self._silver}: "
                + (f"partition {beyond[0]} has no offset {until[beyond[0]]} yet" if beyond else "it has no such topic")
                + "; was the topic created again, or is CARDWATCH_TOPIC_PREFIX another one? --position now takes the "
                "topic's end instead"
            )

    def _watermark_ms(self, ends: dict[int, int]) -> int:
        """A watermark that the detector had at least: its newest messages' event time, less the lateness."""
        starts = {at: max(0, end - NEWEST_MESSAGES // len(ends)) for at, end in ends.items()}
        decode = Decoder(
            "enriched_transaction", self._service.registry(), TRANSACTIONS_SILVER.subject(self._service.topic_prefix)
        )
        newest = 0
        for message in self._reader.read(self._silver, starts, ends):
            with suppress(RefusedError):
                event_us = decode(message.value)["event_time"]
                newest = max(newest, min(event_us, message.broker_time or event_us))
        return max(0, newest - parse_duration(self._settings.lateness)) // MICROSECONDS_PER_MILLISECOND
