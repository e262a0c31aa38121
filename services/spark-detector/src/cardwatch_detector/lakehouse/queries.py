"""The streaming queries that write the tables: which topics, which writer, which checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    DEAD_LETTERS,
    TRANSACTIONS_JSON,
    TRANSACTIONS_LATE,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
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
from cardwatch_rules.parse import parse_duration
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.lakehouse.alert_labels import FeedbackWriter
from cardwatch_detector.lakehouse.bronze import BronzeWriter
from cardwatch_detector.lakehouse.dead_letters import DeadLetterWriter
from cardwatch_detector.lakehouse.decode import Schemas
from cardwatch_detector.lakehouse.gold_alerts import AlertAndFeedbackWriter, AlertWriter
from cardwatch_detector.lakehouse.late import LateWriter
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_detector.lakehouse.silver import SilverWriter
from cardwatch_detector.settings import LakehouseSettings
from cardwatch_detector.silver_source import read_topic

Writer = Callable[[DataFrame, int], None]


@dataclass(frozen=True)
class TableQuery:
    """The streaming query that writes one table.

    Attributes:
        table: the table; query and checkpoint have its name.
        topics: full names of the topics that it reads.
        write: writes one micro-batch, in such a way that doing it again changes nothing.
    """

    table: Table
    topics: Sequence[str]
    write: Writer
    service: ServiceSettings
    settings: LakehouseSettings

    @property
    def name(self) -> str:
        """The query's name in Spark, in metrics and in the checkpoint's path."""
        return self.table.name

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint."""
        return (
            read_topic(session, self.service, self.topics, self.settings.max_offsets_per_trigger, headers=True)
            .writeStream.queryName(self.name)
            .option("checkpointLocation", f"{self.settings.checkpoint_dir.rstrip('/')}/{self.name}")
            .trigger(processingTime=f"{parse_duration(self.settings.trigger)} microseconds")
            .foreachBatch(self.write)
            .start()
        )

    def failed(self, reason: str) -> None:
        """Nothing to learn: what cannot be decoded fails no query, it goes to quarantine."""

    def outdated(self) -> bool:
        """Never: what it does does not change while it runs."""
        return False


def table_queries(service: ServiceSettings, settings: LakehouseSettings, metrics: LakehouseMetrics) -> list[TableQuery]:
    """One query a table. They share nothing: a slow or failing one does not hold up the others."""
    prefix = service.topic_prefix
    registry = service.registry()
    tables_dir = settings.tables_dir
    json_topic = TRANSACTIONS_JSON.name(prefix)
    feedback_topic = ALERTS_FEEDBACK.name(prefix)

    def query(table: Table, topics: Sequence[str], write: Writer) -> TableQuery:
        return TableQuery(table, topics, write, service, settings)

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
                Schemas("enriched_transaction", "transaction_id", registry),
                parse_duration(settings.duplicates_within),
                metrics.written(SILVER_TRANSACTIONS),
                metrics.quarantined,
            ),
        ),
        query(
            BRONZE_LATE,
            [TRANSACTIONS_LATE.name(prefix)],
            LateWriter(
                tables_dir,
                Schemas("enriched_transaction", "transaction_id", registry),
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
                    Schemas("alert", "alert_id", registry),
                    metrics.written(GOLD_ALERTS),
                    metrics.quarantined,
                    metrics.written(BRONZE_ALERT_EVENTS),
                ),
                FeedbackWriter(
                    tables_dir,
                    Schemas("alert_feedback", "alert_id", registry),
                    metrics.written(GOLD_ALERT_LABELS),
                    metrics.quarantined,
                    metrics.written(GOLD_ALERTS),
                ),
            ),
        ),
        query(
            BRONZE_QUARANTINE,
            [DEAD_LETTERS.name(prefix)],
            DeadLetterWriter(
                tables_dir,
                Schemas("dead_letter", "dead_letter_id", registry),
                metrics.written(BRONZE_QUARANTINE),
                metrics.quarantined,
            ),
        ),
    ]
