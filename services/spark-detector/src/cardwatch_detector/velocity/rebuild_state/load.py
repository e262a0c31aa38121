"""Runs a query's plan up to a position into a new checkpoint, with the rules of now, and publishes nothing.

With rules, because a rule that is new to the history of a busy key is not evaluated there at once (docs/live-rules.md).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from json import dumps
from typing import Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.logs import get_logger
from cardwatch_service.retry import StoppedError
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import innermost_cause
from cardwatch_detector.runtime.internals import committed_offsets
from cardwatch_detector.runtime.kafka_source import read_topic
from cardwatch_detector.runtime.leases import Held
from cardwatch_detector.runtime.spark_offsets import Offsets
from cardwatch_detector.velocity.rebuild_state.plan import RebuildPlan
from cardwatch_detector.velocity.rules.active_rules import ActiveRules
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.sink import ResultSink
from cardwatch_detector.velocity.state.query_state import QueryState

_log = get_logger(__name__)

_POLL_SECONDS: Final = 0.2
_REPORT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 2.0
# Larger micro-batches load faster, up to the memory of a small detector.
_MESSAGES_PER_BATCH: Final = 100_000


def loading_settings(settings: VelocitySettings) -> VelocitySettings:
    """A detector's settings for the time of loading.

    Micro-batches are cut otherwise than they were, so that they say nothing about what was too late: that is on the
    topic of late transactions. Here all are in time that a horizon can need.
    """
    horizon_us = max(settings.horizon_us(scope) for scope in settings.scope_list())
    lateness_us = horizon_us + 2 * parse_duration(settings.lateness)
    changes = {
        "lateness": f"{lateness_us // MICROSECONDS_PER_SECOND + 1}s",
        "max_offsets_per_trigger": settings.max_offsets_per_trigger or _MESSAGES_PER_BATCH,
    }
    return settings.model_copy(update=changes)


@dataclass(frozen=True)
class LoadSources:
    """What a loader needs besides messages.

    Attributes:
        rules: those of the detector.
        held: for how long the lease of the checkpoint is held.
    """

    rules: ActiveRules
    held: Held
    shutdown: Shutdown


class Loader:
    """Loads the state of one query."""

    def __init__(self, session: SparkSession, state: QueryState, sources: LoadSources) -> None:
        """``state`` is that of the detector's query."""
        self._session: Final = session
        self._planner: Final = replace(state.planner, settings=loading_settings(state.planner.settings))
        self._query: Final = state.query
        self._sources: Final = sources
        self._shutdown: Final = sources.shutdown

    def load(self, plan: RebuildPlan, known_late: list[tuple[int, int]], checkpoint: str) -> None:
        """Read all messages before the plan's position, from where the checkpoint is; a failure is tried again.

        Raises:
            StoppedError: the process was asked to stop; the next call goes on where this one was.
            CardwatchError: it fails again and again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            query, sink = self._start(plan, known_late, checkpoint)
            try:
                self._wait(plan, query)
            finally:
                sink.close()
            error = query.exception()
            if error is None:
                return
            reason = innermost_cause(str(error))
            self._planner.learn_unknown_ids(reason)
            _log.warning("loading failed", query=self._query, reason=reason, attempt=attempt)
            if self._shutdown.wait(_RETRY_SECONDS):
                raise StoppedError
        raise CardwatchError(f"the state of {self._query} could not be loaded: {reason}")

    def _start(
        self, plan: RebuildPlan, known_late: list[tuple[int, int]], checkpoint: str
    ) -> tuple[StreamingQuery, ResultSink]:
        planner = self._planner
        messages = read_topic(
            self._session,
            planner.service,
            planner.topics,
            planner.settings.max_batch_transactions,
            starting_offsets=dumps(plan.start),
        )
        before = messages.where(_is_before(plan.position.offsets))
        name = f"{self._query}-rebuild"
        results = planner.plan(self._without(before, known_late), name)
        sink = ResultSink(name, self._begin, self._sources.held)
        query = (
            sink.writer(results, None)
            .queryName(name)
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        return query, sink

    def _begin(self) -> RuleSet:
        self._planner.check_schemas()
        return self._sources.rules.rule_set()

    def _without(self, messages: DataFrame, late: list[tuple[int, int]]) -> DataFrame:
        """The messages without those transactions that were too late."""
        if not late:
            return messages
        silver = self._planner.topics[0]
        places = self._session.createDataFrame(
            [(silver, *place) for place in late], "topic string, partition int, offset long"
        )
        return messages.join(F.broadcast(places), ["topic", "partition", "offset"], "left_anti")

    def _wait(self, plan: RebuildPlan, query: StreamingQuery) -> None:
        began = reported = time.monotonic()
        first: int | None = None
        while query.isActive:
            if self._shutdown.requested:
                query.stop()
                _log.info("stopped; the next run of rebuild-state goes on from here", query=self._query)
                raise StoppedError
            now = time.monotonic()
            if now - reported >= _REPORT_SECONDS:
                reported = now
                done = _messages_done(plan, committed_offsets(query))
                first = done if first is None else first
                _log.info("loading", query=self._query, **_progress(done, first, plan.messages, now - began))
            time.sleep(_POLL_SECONDS)


def _is_before(position: Offsets) -> Column:
    """Whether a message lies before a position."""
    conditions = [
        (F.col("topic") == topic) & (F.col("partition") == int(partition)) & (F.col("offset") < offset)
        for topic, partitions in position.items()
        for partition, offset in partitions.items()
    ]
    return reduce(lambda one, other: one | other, conditions, F.lit(False))


def _messages_done(plan: RebuildPlan, committed: Offsets) -> int:
    return sum(
        max(0, min(offset, plan.position.offsets[topic][partition]) - max(0, plan.start[topic].get(partition, 0)))
        for topic, partitions in committed.items()
        for partition, offset in partitions.items()
        if partition in plan.position.offsets.get(topic, {})
    )


def _progress(done: int, first: int, messages: int, seconds: float) -> Mapping[str, object]:
    per_second = (done - first) / seconds
    left = round((messages - done) / per_second) if per_second > 0 else None
    return {"messages": done, "of": messages, "per_second": round(per_second), "seconds_left": left}
