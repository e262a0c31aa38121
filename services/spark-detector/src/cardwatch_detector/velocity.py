"""The velocity query over the scopes of this process: silver in, alerts out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.parse import parse_duration
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from prometheus_client import Counter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.evaluation import RESULT_SCHEMA, Evaluation
from cardwatch_detector.publish import AlertPublisher
from cardwatch_detector.settings import VelocitySettings
from cardwatch_detector.silver_source import UnknownIds, decode, projection, read_topic, writer_schemas
from cardwatch_detector.state import EVENT_TIME, TRANSACTION, keep_events, relevant
from cardwatch_detector.stored_event import fields_to_read

ALERTS_TOTAL: Final = "cardwatch_alerts_total"


class AlertMetrics:
    """What the detector counts of its alerts."""

    def __init__(self, metrics: Metrics, topic: str) -> None:
        self._common = metrics
        self._topic = topic
        self.alerts: Final = Counter(
            ALERTS_TOTAL, "Alerts published, by rule and status.", ["rule", "status"], registry=metrics.registry
        )

    def published(self, alerts: Any, now_us: int) -> None:
        """Count the alerts of a micro-batch after the broker has acknowledged them (RESULT_SCHEMA's columns)."""
        self._common.published.labels(self._topic).inc(alerts.num_rows)
        for start in ("event_time", "raw_broker_time"):
            latency = self._common.latency.labels(start, "alert_published")
            for at in alerts[start].to_pylist():
                latency.observe(max(0.0, (now_us - at) / 1e6))
        for pair in alerts.group_by(["rule_id", "status"]).aggregate([([], "count_all")]).to_pylist():
            self.alerts.labels(pair["rule_id"], pair["status"]).inc(pair["count_all"])


@dataclass(frozen=True)
class VelocityQuery:
    """The streaming query of some scopes; each process has one."""

    scopes: tuple[str, ...]
    rules: tuple[Rule, ...]
    service: ServiceSettings
    settings: VelocitySettings
    publisher: AlertPublisher
    metrics: AlertMetrics
    clock_us: Callable[[], int]
    _unknown_ids: UnknownIds = field(default_factory=UnknownIds)

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path: other scopes are another state."""
        return "-".join(("velocity", *sorted(self.scopes)))

    @property
    def topics(self) -> list[str]:
        """The silver topic, under the deployment's prefix."""
        return [TRANSACTIONS_SILVER.name(self.service.topic_prefix)]

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint.

        Raises:
            CardwatchError: the registry does not answer, or the silver schema is not registered.
        """
        messages = read_topic(session, self.service, self.topics, self.settings.transactions_a_batch)
        if self.settings.tuned_for == "latency":
            # A task costs more than the few messages in it, and where one partition is left nothing is shuffled.
            messages = messages.coalesce(self.settings.partitions)
        return (
            self.alerts_of(messages)
            .writeStream.queryName(self.name)
            .outputMode("update")
            .option("checkpointLocation", f"{self.settings.checkpoint_dir}/{self.name}")
            .trigger(processingTime=f"{round(self.settings.trigger_seconds * 1000)} milliseconds")
            .foreachBatch(lambda batch, _: self._publish(batch.toArrow()))
            .start()
        )

    def failed(self, reason: str) -> None:
        """The query has failed: was it a message with a schema id that nobody has registered?"""
        self._unknown_ids.learn(reason, self.service.registry())

    def alerts_of(self, messages: DataFrame) -> DataFrame:
        """From messages (column ``value``: framed silver transactions) to alerts (RESULT_SCHEMA).

        All of it is one streaming plan. Done on each micro-batch by itself, the part behind the state cost more time in
        Spark's analyser than in its tasks.

        Raises:
            CardwatchError: the registry does not answer, or a schema is not registered.
        """
        registry = self.service.registry()
        prefix = self.service.topic_prefix
        writers = writer_schemas(registry, TRANSACTIONS_SILVER.subject(prefix))
        alert_schema_id = registry.id_of(ALERTS.subject(prefix), "alert")
        rules = tuple(rule for rule in self.rules if rule.scope in self.scopes and rule.mode is not Mode.PAUSED)
        evaluation = Evaluation(rules, alert_schema_id, self.settings.evidence_limit)
        reader = projection("enriched_transaction", fields_to_read(self.scopes))
        record = decode(F.col("value"), writers, reader, self._unknown_ids)
        silver = messages.select(record.alias(TRANSACTION)).select(f"{TRANSACTION}.{EVENT_TIME}", TRANSACTION)
        groups = keep_events(
            silver,
            keys={scope: SCOPE_KEYS[scope] for scope in self.scopes},
            horizons_us={scope: self.settings.horizon_us(scope) for scope in self.scopes},
            lateness_us=parse_duration(self.settings.lateness),
        )
        longest = {
            scope: max((rule.longest_window_us for rule in rules if rule.scope == scope), default=0)
            for scope in self.scopes
        }
        return relevant(groups, longest, evaluation.fields).mapInArrow(evaluation.function(), RESULT_SCHEMA)

    def _publish(self, alerts: Any) -> None:
        """Before Spark commits the micro-batch: a crash in between publishes the same ids again."""
        if alerts.num_rows:
            messages = zip(alerts["key"].to_pylist(), alerts["value"].to_pylist(), strict=True)
            self.publisher.publish(messages)
            self.metrics.published(alerts, self.clock_us())
