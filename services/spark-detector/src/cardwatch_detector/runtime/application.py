"""What the velocity and the lakehouse module have in common: a Spark session, its queries, their metrics and health."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.progress import ProgressListener, QueryMetrics
from cardwatch_detector.runtime.session import build_session, given_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.runtime.supervision import Starter, Supervisor

_log = get(__name__)


class Query(Protocol):
    """A streaming query that can be started, and started again."""

    @property
    def name(self) -> str:
        """Its name in Spark, in metrics and in the checkpoint's path."""

    @property
    def topics(self) -> Sequence[str]:
        """Full names of the topics that it reads."""

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or go on from the checkpoint."""

    def failed(self, reason: str) -> None:
        """It has failed and will be started again: a chance to learn from why."""

    def outdated(self) -> bool:
        """Whether it has to be stopped and started again to go on as it should."""


def run_queries(
    app_name: str,
    queries: Sequence[Query],
    service: ServiceSettings,
    metrics: Metrics,
    spark_config: Mapping[str, str],
    shutdown: Shutdown,
    prepare: Callable[[SparkSession], None] = lambda session: None,
) -> None:
    """Run queries until the process is asked to stop and their running micro-batches are done.

    Args:
        prepare: done once, before the first query starts.

    Raises:
        CardwatchError: settings are wrong, or a query cannot be kept running.
    """
    spark_settings = load(SparkSettings)
    query_metrics = QueryMetrics(metrics, {query.name: query.topics for query in queries})
    supervisor: Supervisor | None = None

    def ready() -> str:
        return "" if supervisor is not None and supervisor.all_running else "the queries are not all running"

    health = HealthEndpoint(metrics.registry, ready=ready, host=service.metrics_host, port=service.metrics_port)
    health.start()
    _log.info("starting", queries=[query.name for query in queries], metrics_port=health.port)
    given = given_session(spark_config)
    session = given or build_session(app_name, spark_settings, spark_config)
    try:
        prepare(session)
        session.streams.addListener(ProgressListener(query_metrics))
        supervisor = Supervisor(
            {query.name: Starter(partial(query.start, session), query.failed, query.outdated) for query in queries},
            query_metrics,
            shutdown,
        )
        supervisor.run()
    finally:
        if given is None:
            session.stop()
        health.stop()
    _log.info("stopped")
