"""Runs a service's streaming queries: Spark session, supervision, metrics and health, until it is asked to stop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cardwatch_service.health import HealthEndpoint
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.internals import JsonProgressListener, progress_mark
from cardwatch_detector.runtime.leases import ProcessLeases
from cardwatch_detector.runtime.metrics import QueryMetrics
from cardwatch_detector.runtime.progress import record_progress
from cardwatch_detector.runtime.session import build_session, given_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.runtime.supervision import SupervisedQuery, Supervisor

_log = get_logger(__name__)


class Query(Protocol):
    """A streaming query that can be started, and started again."""

    @property
    def name(self) -> str:
        """Its name in Spark, in metrics and in the checkpoint's path."""

    @property
    def topics(self) -> Sequence[str]:
        """Full names of the topics that it reads."""

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start, or continue from the checkpoint."""

    def on_failure(self, reason: str) -> None:
        """Learn why the query failed, before it is restarted."""

    def while_running(self) -> None:
        """Do what has to be done beside the query; called several times a second, with and without traffic."""

    def needs_restart(self) -> bool:
        """Whether the running query must be stopped and started again to go on as it should."""


@dataclass(frozen=True)
class SparkApplication:
    """The frame in which a service's streaming queries run.

    Attributes:
        name: the application's name in Spark.
        spark_config: further Spark settings.
        leases: those without which nothing may be written.
    """

    name: str
    service: ServiceSettings
    metrics: Metrics
    spark_config: Mapping[str, str]
    shutdown: Shutdown
    leases: ProcessLeases


RunQueries = Callable[[SparkApplication, Sequence[Query], Callable[[SparkSession], None]], None]
"""The signature of ``run_queries``, which tests may replace."""


def run_queries(
    application: SparkApplication, queries: Sequence[Query], prepare: Callable[[SparkSession], None]
) -> None:
    """Run queries until the process is asked to stop and their running micro-batches are done.

    Args:
        prepare: called once with the session, before the first query starts.

    Raises:
        CardwatchError: settings are wrong, another process works at the same place, or a query cannot be kept running.
    """
    spark_settings = load_settings(SparkSettings)
    metrics, service = application.metrics, application.service
    query_metrics = QueryMetrics(metrics, {query.name: query.topics for query in queries})
    supervisor: Supervisor | None = None

    def not_ready() -> str:
        if supervisor is not None and supervisor.all_running:
            return ""
        return application.leases.waits_for or "the queries are not all running"

    def unhealthy() -> str:
        return "" if supervisor is None else supervisor.problem()

    checks = {"healthy": unhealthy, "ready": not_ready}
    health = HealthEndpoint(metrics.registry, **checks, host=service.metrics_host, port=service.metrics_port)
    health.start()
    _log.info("starting", queries=[query.name for query in queries], metrics_port=health.port)
    try:
        with application.leases.held(), _session(application, spark_settings) as session:
            prepare(session)
            supervisor = Supervisor(
                {query.name: _supervised(query, session) for query in queries},
                query_metrics,
                application.shutdown,
                stall_seconds=service.stall_seconds,
            )
            session.streams.addListener(JsonProgressListener(lambda report: record_progress(report, query_metrics)))
            supervisor.run()
    finally:
        health.stop()
    _log.info("stopped")


@contextmanager
def _session(application: SparkApplication, settings: SparkSettings) -> Iterator[SparkSession]:
    """The platform's session, which is left running, or one of this process, which is stopped in the end."""
    given = given_session(application.spark_config)
    session = given or build_session(application.name, settings, application.spark_config)
    try:
        yield session
    finally:
        if given is None:
            session.stop()


def _supervised(query: Query, session: SparkSession) -> SupervisedQuery:
    return SupervisedQuery(
        start=partial(query.start, session),
        on_failure=query.on_failure,
        while_running=query.while_running,
        needs_restart=query.needs_restart,
        progress_mark=partial(progress_mark, session),
    )
