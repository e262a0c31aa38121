"""The wiring of the lakehouse."""

from dataclasses import replace
from typing import Final

from cardwatch_kafka.topic_check import check_topics_at_start
from cardwatch_lakehouse.leases.opening import WRITER
from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, GOLD_PIPELINE_MINUTES, GOLD_VELOCITY_5M
from cardwatch_service.logs import configure_logging
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession

from cardwatch_detector.lakehouse.audit_check import audit_check
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.maintenance.thread import maintenance_thread
from cardwatch_detector.lakehouse.metrics import AuditMetrics, LakehouseMetrics, ProfileMetrics
from cardwatch_detector.lakehouse.pipeline_minutes.query import minutes_query
from cardwatch_detector.lakehouse.profiles.query import profile_query
from cardwatch_detector.lakehouse.query import LakehouseQuery
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.topic_queries import TOPICS, topic_queries
from cardwatch_detector.lakehouse.velocity_windows.query import velocity_queries
from cardwatch_detector.runtime import application
from cardwatch_detector.runtime.application import RunQueries, SparkApplication
from cardwatch_detector.runtime.leases import ProcessLeases
from cardwatch_detector.runtime.local_directories import close_directories
from cardwatch_detector.runtime.object_stores import for_stores
from cardwatch_detector.runtime.session import DELTA, INTERPRETED, JAVA_OPTIONS, QUICK_JVM

# The queries run on the same machine as the velocity query and must leave it the processor: what Delta does for large
# tables and
# clusters is scaled down to micro-batches.
_SPARK_CONFIG: Final = {
    **DELTA,
    **INTERPRETED,
    JAVA_OPTIONS: QUICK_JVM,
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    # What Python gets at a time, whatever the size of a message; without it, 10,000 messages.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(16 * 1024 * 1024),
    # Between pools; queries that name none share one, first come, first served.
    "spark.scheduler.mode": "FAIR",
}


def spark_config(settings: LakehouseSettings) -> dict[str, str]:
    """The Spark settings that the queries run under."""
    return _SPARK_CONFIG | for_stores([settings.tables_dir], settings.checkpoint_dir)


def run(shutdown: Shutdown, *, run_queries: RunQueries = application.run_queries) -> int:
    """Write the tables until the process is asked to stop; returns its exit code.

    Args:
        run_queries: runs the queries; tests run some of them, or otherwise.

    Raises:
        StoppedError: the stop was asked for while the broker did not answer.
        CardwatchError: settings are wrong, or a query cannot be kept running.
    """
    service, settings = load_settings(ServiceSettings), load_settings(LakehouseSettings)
    configure_logging("lakehouse", service.log_level, service.log_format)
    check_topics_at_start(service, TOPICS, shutdown)
    close_directories(settings.tables_dir, settings.checkpoint_dir)
    metrics = Metrics()
    places = {WRITER: settings.tables_dir, "lakehouse": settings.checkpoint_dir}
    leases = ProcessLeases.of(places, "lakehouse", shutdown)
    queries = [replace(query, check=leases.check) for query in _queries(service, settings, metrics)]
    maintenance = maintenance_thread(settings, metrics, shutdown)
    audit = audit_check(settings, AuditMetrics(metrics), shutdown)

    def prepare(session: SparkSession) -> None:
        create_tables(session, settings.tables_dir)
        if maintenance is not None:
            maintenance.start()
        if audit is not None:
            audit.start()

    config = spark_config(settings)
    run_queries(SparkApplication("cardwatch-lakehouse", service, metrics, config, shutdown, leases), queries, prepare)
    if maintenance is not None:
        maintenance.stop()
    return 0


def _queries(service: ServiceSettings, settings: LakehouseSettings, metrics: Metrics) -> list[LakehouseQuery]:
    counter = LakehouseMetrics(metrics)
    queries = topic_queries(service, settings, counter)
    if settings.profiles:
        counter.start_at_zero(GOLD_CARD_DAYS, GOLD_CARD_PROFILE)
        queries.append(profile_query(service, settings, ProfileMetrics(metrics), counter))
    if settings.velocity:
        counter.start_at_zero(GOLD_VELOCITY_5M)
        queries += velocity_queries(settings, counter)
    if settings.minutes:
        counter.start_at_zero(GOLD_PIPELINE_MINUTES)
        queries.append(minutes_query(settings, counter))
    return queries
