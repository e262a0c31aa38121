"""The streaming query of the velocity detector: silver in, alerts and late transactions out."""

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import with_brief_errors
from cardwatch_detector.runtime.internals import RunningBatch, path_exists
from cardwatch_detector.runtime.kafka_source import read_topic
from cardwatch_detector.runtime.leases import Check, no_check, only_while_held
from cardwatch_detector.velocity.late.late_publisher import LatePublisher
from cardwatch_detector.velocity.plan import VelocityPlan, VelocityPlanner
from cardwatch_detector.velocity.publishing.alert_publisher import AlertPublisher
from cardwatch_detector.velocity.token_views import checkpoint_name

_MILLISECONDS_PER_SECOND: Final = 1000
# Beside it is what versions before the rule engine have left, whose state it cannot read.
_STATE: Final = "engine"


@dataclass
class VelocityQuery:
    """The streaming query of some scopes; each process has one, and during a rotation of token keys two.

    Attributes:
        key_id: the name of the token key without a rotation: a rotation before may have begun this key's state.
        check: returns if this process may publish and let Spark commit.
    """

    planner: VelocityPlanner
    alerts: AlertPublisher
    late: LatePublisher
    key_id: str
    check: Check = no_check

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path: other scopes are another state."""
        return self._scopes_name + (self.planner.view.query_suffix if self.planner.view else "")

    @property
    def _scopes_name(self) -> str:
        return "-".join(("velocity", *sorted(self.planner.scopes)))

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
        messages = read_topic(session, self.planner.service, self.topics, settings.max_batch_transactions)
        if settings.tuned_for == "latency":
            # A task costs more than the few messages in it, and where one partition is left nothing is shuffled.
            messages = messages.coalesce(settings.partitions)
        plan = self.planner.plan(messages)
        running = RunningBatch(session)
        write = only_while_held(self.check, lambda batch, _: self._write(plan, batch, running))
        return (
            plan.results.writeStream.queryName(self.name)
            .outputMode("update")
            .option("checkpointLocation", self._checkpoint(session))
            .trigger(processingTime=f"{round(settings.trigger_seconds * _MILLISECONDS_PER_SECOND)} milliseconds")
            .foreachBatch(with_brief_errors(self.name, write))
            .start()
        )

    def _checkpoint(self, session: SparkSession) -> str:
        """Where the query's state is: where it began as the view of a next token key, or where it always was."""
        directory = f"{self.planner.settings.checkpoint_dir.rstrip('/')}/{_STATE}"
        view = self.planner.view
        key_id = self.key_id if view is None else view.checkpoint_key_id
        own = f"{directory}/{checkpoint_name(self._scopes_name, key_id)}"
        is_next = view is not None and view.is_next
        return own if is_next or path_exists(session, own) else f"{directory}/{self._scopes_name}"

    def on_failure(self, reason: str) -> None:
        """Learn whether a message with an unregistered schema id was the reason."""
        self.planner.learn_unknown_ids(reason)

    def needs_restart(self) -> bool:
        """Whether the running plan skips messages without need."""
        # Asked several times a second, also without traffic: analysts hear of a rule before a micro-batch has it.
        self.planner.rules.rule_set()
        return self.planner.needs_restart()

    def _write(self, plan: VelocityPlan, batch: DataFrame, running: RunningBatch) -> None:
        """Publish before Spark commits the micro-batch: a crash in between publishes the same ids again."""
        self.planner.check_schemas()
        began_us = self.alerts.clock_us()
        results = plan.evaluate(batch)
        self.check()
        if results.alerts.num_rows:
            self.alerts.publish(results.alerts, lambda: running.offset_range(batch), began_us)
        if results.late.num_rows:
            self.late.publish(self.name, results.late)
