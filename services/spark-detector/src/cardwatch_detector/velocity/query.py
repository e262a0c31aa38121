"""The velocity query over the scopes of this process: silver in, alerts out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final

import pyarrow.compute as pc
from cardwatch_contracts.topics import ALERTS, CARD_PROFILES, TRANSACTIONS_SILVER
from cardwatch_rules.fields import PROFILE_DAY, PROFILE_SCOPE, SCOPE_KEYS
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration
from prometheus_client import Counter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.failures import with_brief_errors
from cardwatch_detector.runtime.kafka_source import UnknownSchemaIds, decode, projection, read_topic, writer_schemas
from cardwatch_detector.runtime.running_batch import RunningBatch
from cardwatch_detector.velocity.late.dropped_rows import DroppedRows
from cardwatch_detector.velocity.late.late_publisher import LatePublisher
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces, Headers
from cardwatch_detector.velocity.publishing.publisher import Outgoing, Publisher
from cardwatch_detector.velocity.rules.active_rules import ActiveRules
from cardwatch_detector.velocity.rules.rule_set import TaskRuleSet, attach_rules
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.state.evaluation import RESULT_SCHEMA, Evaluation
from cardwatch_detector.velocity.state.plan_shape import PlanShape, shape_for
from cardwatch_detector.velocity.state.state import EVENT_TIME, PROFILE, TRANSACTION, keep_events, relevant
from cardwatch_detector.velocity.state.stored_event import fields_to_read, profile_fields_to_read

ALERTS_TOTAL: Final = "cardwatch_alerts_total"


class AlertMetrics:
    """What the detector counts of its alerts."""

    def __init__(self, metrics: Metrics, topic: str) -> None:
        self._common = metrics
        self._topic = topic
        self.alerts: Final = Counter(
            ALERTS_TOTAL,
            "Alert events published, by rule, status (raised, suppressed, retracted) and mode (live, shadow).",
            ["rule", "status", "mode"],
            registry=metrics.registry,
        )

    def published(self, alerts: Any, now_us: int) -> None:
        """Count the alerts of a micro-batch after the broker has acknowledged them (RESULT_SCHEMA's columns)."""
        self._common.published.labels(self._topic).inc(alerts.num_rows)
        for start in ("event_time", "raw_broker_time"):
            latency = self._common.latency.labels(start, "alert_published")
            for at in alerts[start].to_pylist():
                latency.observe(max(0.0, (now_us - at) / 1e6))
        for found in alerts.group_by(["rule_id", "status", "mode"]).aggregate([([], "count_all")]).to_pylist():
            self.alerts.labels(found["rule_id"], found["status"], found["mode"]).inc(found["count_all"])


@dataclass
class VelocityQuery:
    """The streaming query of some scopes; each process has one."""

    scopes: tuple[str, ...]
    keeper: ActiveRules
    service: ServiceSettings
    settings: VelocitySettings
    publisher: Publisher
    late: LatePublisher
    metrics: AlertMetrics
    clock_us: Callable[[], int]
    traces: AlertTraces | None = None
    _unknown_ids: UnknownSchemaIds = field(default_factory=lambda: UnknownSchemaIds("enriched_transaction"))
    _unknown_profile_ids: UnknownSchemaIds = field(default_factory=lambda: UnknownSchemaIds("card_profile"))
    _shape: PlanShape | None = None

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path: other scopes are another state."""
        return "-".join(("velocity", *sorted(self.scopes)))

    @property
    def profiled(self) -> bool:
        """Whether the profiles of cards are kept beside their transactions."""
        return self.settings.profiles and PROFILE_SCOPE in self.scopes

    @property
    def topics(self) -> list[str]:
        """The silver topic, and the profiles' where they are wanted, under the deployment's prefix."""
        topics = (TRANSACTIONS_SILVER, CARD_PROFILES) if self.profiled else (TRANSACTIONS_SILVER,)
        return [topic.name(self.service.topic_prefix) for topic in topics]

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint.

        Raises:
            CardwatchError: the registry does not answer, or the silver schema is not registered.
        """
        messages = read_topic(session, self.service, self.topics, self.settings.transactions_a_batch)
        if self.settings.tuned_for == "latency":
            # A task costs more than the few messages in it, and where one partition is left nothing is shuffled.
            messages = messages.coalesce(self.settings.partitions)
        running = RunningBatch(session)
        dropped = DroppedRows(running)
        return (
            self.alerts_of(messages)
            .writeStream.queryName(self.name)
            .outputMode("update")
            .option("checkpointLocation", f"{self.settings.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{round(self.settings.trigger_seconds * 1000)} milliseconds")
            .foreachBatch(with_brief_errors(self.name, lambda batch, _: self._run(batch, running, dropped)))
            .start()
        )

    def failed(self, reason: str) -> None:
        """The query has failed: was it a message with a schema id that nobody has registered?"""
        for unknown in (self._unknown_ids, self._unknown_profile_ids):
            unknown.learn(reason, self.service.registry())

    def outdated(self) -> bool:
        """Whether rules have come that the running plan has no room for: the query has to start again."""
        rule_set = self.keeper.rule_set()
        return self._shape is not None and self._shape.part_of(rule_set) is not rule_set

    def evaluated(self, batch: DataFrame) -> Any:
        """Run a micro-batch with the rules as they are now; its alerts, with RESULT_SCHEMA's columns."""
        assert self._shape is not None, "alerts_of comes first"
        attach_rules(batch.sparkSession.sparkContext, self._shape.part_of(self.keeper.rule_set()))
        results = batch.toArrow()
        told = pc.is_valid(results["report"])
        self.keeper.learn(str(report) for report in results["report"].filter(told).to_pylist())
        return results.filter(pc.invert(told))

    def alerts_of(self, messages: DataFrame) -> DataFrame:
        """From messages (columns ``topic``, ``value``: framed) to alerts (RESULT_SCHEMA).

        All of it is one streaming plan. Done on each micro-batch by itself, the part behind the state cost more time in
        Spark's analyser than in its tasks.

        Raises:
            CardwatchError: the registry does not answer, or a schema is not registered.
        """
        registry = self.service.registry()
        prefix = self.service.topic_prefix
        writers = writer_schemas(registry, TRANSACTIONS_SILVER.subject(prefix))
        alert_schema_id = registry.id_of(ALERTS.subject(prefix), "alert")
        horizons_us = {scope: self.settings.horizon_us(scope) for scope in self.scopes}
        self._shape = shape_for(self.keeper.rule_set(), horizons_us, roomy=self.settings.tuned_for == "latency")
        evaluation = Evaluation(TaskRuleSet(), alert_schema_id, self.settings.evidence_limit)
        reader = projection("enriched_transaction", fields_to_read(self.scopes))
        record = decode(F.col("value"), writers, reader, self._unknown_ids)
        if self.profiled:
            of_profile = F.col("topic") == CARD_PROFILES.name(prefix)
            profile = decode(
                F.col("value"),
                writer_schemas(registry, CARD_PROFILES.subject(prefix)),
                projection("card_profile", profile_fields_to_read()),
                self._unknown_profile_ids,
            )
            records = messages.select(
                F.when(~of_profile, record).alias(TRANSACTION), F.when(of_profile, profile).alias(PROFILE)
            )
            at = F.coalesce(F.col(f"{TRANSACTION}.{EVENT_TIME}"), F.col(f"{PROFILE}.{PROFILE_DAY}"))
            silver = records.select(at.alias(EVENT_TIME), TRANSACTION, PROFILE)
        else:
            silver = messages.select(record.alias(TRANSACTION)).select(f"{TRANSACTION}.{EVENT_TIME}", TRANSACTION)
        groups = keep_events(
            silver,
            keys={scope: SCOPE_KEYS[scope] for scope in self.scopes},
            horizons_us=horizons_us,
            lateness_us=parse_duration(self.settings.lateness),
            profiled=self.profiled,
        )
        needed = relevant(groups, self._shape.reach_us, self._shape.fields, profiled=self.profiled)
        return needed.mapInArrow(evaluation.function(), RESULT_SCHEMA)

    def _run(self, batch: DataFrame, running: RunningBatch, rows: DroppedRows) -> None:
        """Before Spark commits the micro-batch: a crash in between publishes the same ids again."""
        began_us = self.clock_us()
        alerts = self.evaluated(batch)
        if alerts.num_rows:
            if self.traces is None:
                self._publish(alerts, repeat(()))
            else:
                with self.traces.of(alerts["value"].to_pylist(), *running.stretch(batch), began_us) as headers:
                    self._publish(alerts, headers)
            self.metrics.published(alerts, self.clock_us())
        dropped = rows.of(batch)
        if dropped is not None:
            self.late.keep(self.name, dropped)

    def _publish(self, alerts: Any, headers: Iterable[Headers]) -> None:
        self.publisher.publish(map(Outgoing, alerts["key"].to_pylist(), alerts["value"].to_pylist(), headers))
