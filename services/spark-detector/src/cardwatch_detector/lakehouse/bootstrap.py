"""The wiring of the lakehouse queries."""

from collections.abc import Callable
from typing import Final

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, GOLD_PIPELINE_MINUTES, GOLD_VELOCITY_5M
from cardwatch_service.logs import configure
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession

from cardwatch_detector.lakehouse.io.create import create
from cardwatch_detector.lakehouse.maintenance.maintenance import maintenance_thread
from cardwatch_detector.lakehouse.metrics import LakehouseMetrics
from cardwatch_detector.lakehouse.pipeline_minutes.query import minutes_query
from cardwatch_detector.lakehouse.profiles.query import profile_query
from cardwatch_detector.lakehouse.profiles.refresh import ProfileMetrics
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.lakehouse.topic_queries import table_queries
from cardwatch_detector.lakehouse.velocity_windows.query import velocity_queries
from cardwatch_detector.runtime.application import Query, run_queries
from cardwatch_detector.runtime.object_stores import for_stores
from cardwatch_detector.runtime.session import DELTA, INTERPRETED, JAVA_OPTIONS, QUICK_JVM

# The queries run beside the velocity queries and must leave them the processor: what Delta does for large tables and
# clusters is scaled down to micro-batches.
_SPARK_CONFIG: Final = {
    **DELTA,
    **INTERPRETED,
    JAVA_OPTIONS: QUICK_JVM,
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Between pools; queries that name none share one, first come, first served.
    "spark.scheduler.mode": "FAIR",
}


def spark_config(settings: LakehouseSettings) -> dict[str, str]:
    """The Spark settings that the queries run under."""
    return _SPARK_CONFIG | for_stores([settings.tables_dir], settings.checkpoint_dir)


def run(shutdown: Shutdown, run_queries: Callable[..., None] = run_queries) -> int:
    """Write the tables until the process is asked to stop; returns its exit code.

    Args:
        shutdown: asks it to stop.
        run_queries: keeps the queries running, with the parameters of the runtime's own.

    Raises:
        CardwatchError: settings are wrong, or a query cannot be kept running.
    """
    service = load(ServiceSettings)
    settings = load(LakehouseSettings)
    configure("lakehouse", service.log_level, service.log_format)
    metrics = Metrics()
    lakehouse = LakehouseMetrics(metrics)
    queries: list[Query] = [*table_queries(service, settings, lakehouse)]
    if settings.profiles:
        written = (lakehouse.written(GOLD_CARD_DAYS), lakehouse.written(GOLD_CARD_PROFILE))
        queries.append(profile_query(service, settings, ProfileMetrics(metrics), *written))
    if settings.velocity:
        queries += velocity_queries(settings, lakehouse.written(GOLD_VELOCITY_5M))
    if settings.minutes:
        queries.append(minutes_query(settings, lakehouse.written(GOLD_PIPELINE_MINUTES)))
    upkeep = maintenance_thread(settings, metrics, shutdown)

    def prepare(session: SparkSession) -> None:
        create(session, settings.tables_dir)
        if upkeep is not None:
            upkeep.start()

    run_queries(
        "cardwatch-lakehouse",
        queries,
        service,
        metrics,
        spark_config(settings),
        shutdown,
        prepare=prepare,
    )
    if upkeep is not None:
        upkeep.stop()
    return 0
