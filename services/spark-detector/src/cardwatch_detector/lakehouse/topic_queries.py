"""The streaming queries that write the tables: which topics, which writer, which checkpoint."""

from collections.abc import Sequence
from functools import partial

from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
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
from cardwatch_detector.lakehouse.bronze.dead_letters import DeadLetterWriter
from cardwatch_detector.lakehouse.bronze.late import LateWriter
from cardwatch_detector.lakehouse.bronze.transactions import BronzeWriter
from cardwatch_detector.lakehouse.io.decode import TopicSchemas
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_detector.lakehouse.query import LakehouseQuery
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.silver.transactions import SilverWriter
from cardwatch_detector.runtime.failures import Writer
from cardwatch_detector.runtime.kafka_source import read_topic


def table_queries(
    service: ServiceSettings, settings: LakehouseSettings, metrics: LakehouseMetrics
) -> list[LakehouseQuery]:
    """One query a table, of its name. They share nothing: a slow or failing one does not hold up the others."""
    prefix = service.topic_prefix
    registry = service.registry()
    tables_dir = settings.tables_dir
    json_topic = TRANSACTIONS_JSON.name(prefix)
    feedback_topic = ALERTS_FEEDBACK.name(prefix)

    def schemas(identity: str, topic: Topic) -> TopicSchemas:
        return TopicSchemas(str(topic.schema), identity, registry, topic.subject(prefix))

    # A late transaction comes as it was in silver.
    enriched = partial(schemas, "transaction_id", TRANSACTIONS_SILVER)

    def query(table: Table, topics: Sequence[str], write: Writer) -> LakehouseQuery:
        source = partial(
            read_topic,
            settings=service,
            topics=topics,
            max_offsets_per_trigger=settings.max_offsets_per_trigger,
            headers=True,
        )
        return LakehouseQuery(table.name, settings.checkpoint_dir, settings.trigger, source, lambda: write, topics)

    return [
        query(
            BRONZE_TRANSACTIONS,
            [TRANSACTIONS_RAW.name(prefix), json_topic],
            BronzeWriter(tables_dir, json_topic, metrics.written(BRONZE_TRANSACTIONS)),
        ),
        query(
            SILVER_TRANSACTIONS,
            [TRANSACTIONS_SILVER.name(prefix)],
            SilverWriter(
                tables_dir,
                enriched(),
                metrics.written(SILVER_TRANSACTIONS),
                metrics.quarantined,
                parse_duration(settings.duplicates_within),
            ),
        ),
        query(
            BRONZE_LATE,
            [TRANSACTIONS_LATE.name(prefix)],
            LateWriter(
                tables_dir,
                enriched(),
                metrics.written(BRONZE_LATE),
                metrics.quarantined,
            ),
        ),
        query(
            GOLD_ALERTS,
            [ALERTS.name(prefix), feedback_topic],
            AlertAndFeedbackWriter(
                feedback_topic,
                AlertWriter(
                    tables_dir,
                    schemas("alert_id", ALERTS),
                    metrics.written(GOLD_ALERTS),
                    metrics.quarantined,
                    metrics.written(BRONZE_ALERT_EVENTS),
                ),
                FeedbackWriter(
                    tables_dir,
                    schemas("alert_id", ALERTS_FEEDBACK),
                    metrics.written(GOLD_ALERT_LABELS),
                    metrics.quarantined,
                    metrics.written(GOLD_ALERTS),
                ),
                LabelCounter(tables_dir, metrics.labelled),
            ),
        ),
        query(
            BRONZE_QUARANTINE,
            [DEAD_LETTERS.name(prefix)],
            DeadLetterWriter(
                tables_dir,
                schemas("dead_letter_id", DEAD_LETTERS),
                metrics.written(BRONZE_QUARANTINE),
                metrics.quarantined,
            ),
        ),
    ]
