"""The streaming queries that write the tables: which topics, which writer, which checkpoint."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    AUDITED_TOPICS,
    CARD_PROFILES,
    DEAD_LETTERS,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_RULE_CHANGES,
    BRONZE_TRANSACTIONS,
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
    SILVER_TRANSACTIONS,
    Table,
)
from cardwatch_service.settings import ServiceSettings
from cardwatch_units.durations import parse_duration

from cardwatch_detector.lakehouse.alerts.alerts import AlertAndFeedbackWriter, AlertWriter
from cardwatch_detector.lakehouse.alerts.label_counts import LabelCounter
from cardwatch_detector.lakehouse.alerts.labels import FeedbackWriter
from cardwatch_detector.lakehouse.bronze.dead_letters import DeadLetterTableWriter
from cardwatch_detector.lakehouse.bronze.late import LateWriter
from cardwatch_detector.lakehouse.bronze.rule_changes import RuleChangeWriter
from cardwatch_detector.lakehouse.bronze.transactions import BronzeWriter
from cardwatch_detector.lakehouse.io.decode import TopicSchemas
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_detector.lakehouse.query import LakehouseQuery, Schedule
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.silver.transactions import SilverWriter
from cardwatch_detector.runtime.failures import BatchWriter
from cardwatch_detector.runtime.kafka_source import read_topic

TOPICS: Final = (
    TRANSACTIONS_RAW,
    TRANSACTIONS_JSON,
    TRANSACTIONS_SILVER,
    TRANSACTIONS_LATE,
    ALERTS,
    ALERTS_FEEDBACK,
    DEAD_LETTERS,
    CARD_PROFILES,
    *AUDITED_TOPICS,
)
"""All topics that the lakehouse reads and writes."""

_TABLES: Final = (
    BRONZE_TRANSACTIONS,
    SILVER_TRANSACTIONS,
    BRONZE_LATE,
    GOLD_ALERTS,
    BRONZE_ALERT_EVENTS,
    GOLD_ALERT_LABELS,
    BRONZE_QUARANTINE,
    BRONZE_RULE_CHANGES,
)

# The writer holds the messages of a micro-batch in the driver's memory.
_MAX_RULE_CHANGES: Final = 10_000


def topic_queries(
    service: ServiceSettings, settings: LakehouseSettings, metrics: LakehouseMetrics
) -> list[LakehouseQuery]:
    """One query per table, named after it. They share nothing: a slow or failing one does not hold up the others."""
    prefix, tables_dir = service.topic_prefix, settings.tables_dir
    registry = service.registry()
    raw_topic, json_topic = TRANSACTIONS_RAW.name(prefix), TRANSACTIONS_JSON.name(prefix)
    alerts_topic, feedback_topic = ALERTS.name(prefix), ALERTS_FEEDBACK.name(prefix)

    def schemas(topic: Topic, identity: str) -> TopicSchemas:
        subject = topic.subject(prefix)
        on_outage = metrics.registry_outage(subject)
        return TopicSchemas(str(topic.schema), identity, registry, subject, on_outage=on_outage)

    metrics.start_at_zero(*_TABLES)
    bronze = BronzeWriter(tables_dir, metrics, service.card_number_exempt_fields)
    silver = SilverWriter(
        tables_dir,
        schemas(TRANSACTIONS_SILVER, "transaction_id"),
        metrics,
        within_us=parse_duration(settings.duplicates_within),
    )
    # The late topic carries transactions as they were in the silver topic.
    late = LateWriter(tables_dir, schemas(TRANSACTIONS_SILVER, "transaction_id"), metrics)
    alerts = AlertAndFeedbackWriter(
        feedback_topic,
        AlertWriter(tables_dir, schemas(ALERTS, "alert_id"), metrics),
        FeedbackWriter(tables_dir, schemas(ALERTS_FEEDBACK, "alert_id"), metrics),
        LabelCounter(tables_dir, metrics.alerts_labelled),
    )
    dead_letters = DeadLetterTableWriter(
        tables_dir, schemas(DEAD_LETTERS, "dead_letter_id"), metrics, service.card_number_exempt_fields
    )
    rule_changes = RuleChangeWriter(tables_dir, metrics)
    query = partial(_topic_query, service, settings)
    return [
        query(table=BRONZE_TRANSACTIONS, topics=[raw_topic, json_topic], writer=bronze),
        query(table=SILVER_TRANSACTIONS, topics=[TRANSACTIONS_SILVER.name(prefix)], writer=silver),
        query(table=BRONZE_LATE, topics=[TRANSACTIONS_LATE.name(prefix)], writer=late),
        query(table=GOLD_ALERTS, topics=[alerts_topic, feedback_topic], writer=alerts),
        query(table=BRONZE_QUARANTINE, topics=[DEAD_LETTERS.name(prefix)], writer=dead_letters),
        query(
            table=BRONZE_RULE_CHANGES,
            topics=[topic.name(prefix) for topic in AUDITED_TOPICS],
            writer=rule_changes,
            max_offsets=_MAX_RULE_CHANGES,
        ),
    ]


def _topic_query(
    service: ServiceSettings,
    settings: LakehouseSettings,
    *,
    table: Table,
    topics: Sequence[str],
    writer: BatchWriter,
    max_offsets: int | None = None,
) -> LakehouseQuery:
    limit = settings.max_offsets_per_trigger
    source = partial(
        read_topic,
        settings=service,
        topics=topics,
        max_offsets_per_trigger=limit if max_offsets is None else min(limit, max_offsets),
        headers=True,
    )
    return LakehouseQuery(
        name=table.name,
        checkpoint_dir=settings.checkpoint_dir,
        schedule=Schedule(settings.trigger),
        source=source,
        make_writer=lambda: writer,
        topics=topics,
    )
