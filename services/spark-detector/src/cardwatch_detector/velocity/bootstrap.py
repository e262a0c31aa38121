"""The wiring of the velocity detector."""

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_service.logs import configure_logging
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import RotationSettings
from cardwatch_service.tracing import tracing
from pyspark.sql import SparkSession

from cardwatch_detector.runtime.application import SparkApplication, run_queries
from cardwatch_detector.runtime.leases import ProcessLeases
from cardwatch_detector.runtime.local_directories import close_directories
from cardwatch_detector.velocity.metrics import AlertMetrics, LateMetrics
from cardwatch_detector.velocity.plan import VelocityPlanner
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_detector.velocity.publishing.batch_reports import BatchReports
from cardwatch_detector.velocity.query import VelocityQuery
from cardwatch_detector.velocity.rules.reading import active_rules
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.spark_config import spark_config
from cardwatch_detector.velocity.startup import check_topics
from cardwatch_detector.velocity.token_views import views_of
from cardwatch_detector.velocity.warm_up import warm_up


def run_velocity(shutdown: Shutdown) -> None:
    """Run the velocity query until the process is asked to stop.

    Raises:
        StoppedError: the stop was asked for while the broker did not answer.
        CardwatchError: settings or rules are wrong, or the query cannot be kept running.
    """
    service, settings = load_settings(ServiceSettings), load_settings(VelocitySettings)
    configure_logging("spark-detector", service.log_level, service.log_format)
    check_topics(service, settings, shutdown)
    close_directories(settings.checkpoint_dir)
    metrics, rotation = Metrics(), load_settings(RotationSettings).rotation()
    with tracing("cardwatch-detector", metrics) as tracer, active_rules(service, settings, metrics) as rules:
        silver = TRANSACTIONS_SILVER.name(service.topic_prefix)
        reports = BatchReports(
            AlertMetrics(metrics, ALERTS.name(service.topic_prefix)),
            LateMetrics(metrics, service.topic_prefix, settings.scope_list()),
            rules,
            None if tracer is None else AlertTraces(tracer, silver),
        )
        share = None if tracer is None else tracer.sampled_share
        scopes = tuple(settings.scope_list())
        queries = [
            VelocityQuery(
                VelocityPlanner(scopes, service, settings, view, share, metrics.registry_outage),
                reports,
                rotation.key_id,
            )
            for view in views_of(rotation)
        ]
        leases = ProcessLeases.of({query.name: settings.checkpoint_dir for query in queries}, settings.title, shutdown)
        for query in queries:
            query.held = leases.held_seconds

        def prepare(session: SparkSession) -> None:
            for query in queries:
                query.state.checkpoint(session)  # refused before the warm-up, which takes a while
            for query in queries if settings.warm_up else []:
                warm_up(session, query, shutdown)

        try:
            run_queries(
                SparkApplication("cardwatch-velocity", service, metrics, spark_config(settings), shutdown, leases),
                queries,
                prepare,
            )
        finally:
            for query in queries:
                query.take_reports()
