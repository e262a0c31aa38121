"""The streaming query of the velocity detector: silver in, alerts and late transactions out."""

from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.kafka_source import read_topic
from cardwatch_detector.runtime.leases import Held, always_held
from cardwatch_detector.velocity.plan import VelocityPlanner
from cardwatch_detector.velocity.publishing.batch_reports import BatchReports
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_detector.velocity.sink import ResultSink
from cardwatch_detector.velocity.state.query_state import QueryState
from cardwatch_detector.velocity.state.usable import require_readable_state

_MILLISECONDS_PER_SECOND: Final = 1000


@dataclass
class VelocityQuery:
    """The streaming query of some scopes; each process has one, and during a rotation of token keys two.

    Attributes:
        key_id: the name of the token key without a rotation: a rotation before may have begun this key's state.
        held: for how long this process may publish and let Spark commit.
    """

    planner: VelocityPlanner
    reports: BatchReports
    key_id: str
    held: Held = always_held
    _sink: ResultSink | None = field(default=None, init=False)

    @property
    def state(self) -> QueryState:
        """Where its state is."""
        return QueryState(self.planner, self.key_id)

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path: other scopes are another state."""
        return self.state.query

    @property
    def topics(self) -> list[str]:
        """Full names of the topics that it reads."""
        return self.planner.topics

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or continue from the checkpoint.

        Raises:
            CardwatchError: the registry does not answer, or the silver schema is not registered.
        """
        settings = self.planner.settings
        service = self.planner.service
        has_headers = self.planner.trace_share is not None
        messages = read_topic(session, service, self.topics, settings.max_batch_transactions, headers=has_headers)
        if settings.tuned_for == "latency":
            # A task costs more than the few messages in it, and where one partition is left nothing is shuffled.
            messages = messages.coalesce(settings.partitions)
        results = self.planner.plan(messages, self.name)
        self._end_sink()
        self._sink = ResultSink(self.name, self._begin, self.held)
        return (
            self._sink.writer(results, service)
            .queryName(self.name)
            .option("checkpointLocation", self.state.checkpoint(session))
            .trigger(processingTime=f"{round(settings.trigger_seconds * _MILLISECONDS_PER_SECOND)} milliseconds")
            .start()
        )

    def on_failure(self, reason: str) -> None:
        """Learn whether a message with an unregistered schema id was the reason.

        Raises:
            CardwatchError: the state cannot be read.
        """
        require_readable_state(self.name, reason)
        self.planner.learn_unknown_ids(reason)

    def while_running(self) -> None:
        """Take what was published, and new rules: analysts hear of a rule before a micro-batch has it."""
        self.take_reports()
        self.reports.rules.rule_set()

    def needs_restart(self) -> bool:
        """Whether the running plan skips messages without need."""
        return self.planner.needs_restart()

    def take_reports(self) -> None:
        """Take what was published since the last call, for metrics, traces and the rules."""
        for report in self._sink.take_reports() if self._sink is not None else ():
            self.reports.take(self.name, report)

    def _begin(self) -> RuleSet:
        self.planner.check_schemas()
        return self.reports.rules.rule_set()

    def _end_sink(self) -> None:
        if self._sink is not None:
            self.take_reports()
            self._sink.close()
