"""The wiring of the velocity detector."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_SILVER
from cardwatch_rulebook.connect import follower, status_reporter
from cardwatch_rules.parse import load_rules
from cardwatch_service.logs import configure_logging, get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import RotationSettings
from cardwatch_service.tracing import tracing
from pyspark.sql import SparkSession

from cardwatch_detector.runtime.application import SparkApplication, run_queries
from cardwatch_detector.runtime.leases import ProcessLeases
from cardwatch_detector.runtime.local_directories import close_directories
from cardwatch_detector.velocity.metrics import AlertMetrics, LateMetrics, RuleMetrics
from cardwatch_detector.velocity.plan import VelocityPlanner
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_detector.velocity.publishing.batch_reports import BatchReports
from cardwatch_detector.velocity.query import VelocityQuery
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, NoReporter, fixed_snapshot
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.spark_config import spark_config
from cardwatch_detector.velocity.startup import check_topics
from cardwatch_detector.velocity.token_views import views_of
from cardwatch_detector.velocity.warm_up import warm_up

_RULES_WAIT_SECONDS: Final = 60.0


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
    with tracing("cardwatch-detector", metrics) as tracer, _active_rules(service, settings, metrics) as rules:
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
        title = settings.name if "detector" in settings.name else f"detector {settings.name}"
        leases = ProcessLeases.of({query.name: settings.checkpoint_dir for query in queries}, title, shutdown)
        for query in queries:
            query.held = leases.held_seconds

        def prepare(session: SparkSession) -> None:
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


@contextmanager
def _active_rules(service: ServiceSettings, settings: VelocitySettings, metrics: Metrics) -> Iterator[ActiveRules]:
    scopes = settings.scope_list()
    horizons_us = {scope: settings.horizon_us(scope) for scope in scopes}
    rule_metrics, budget_seconds = RuleMetrics(metrics), settings.rule_budget_seconds
    if settings.rules is not None:
        rules = load_rules(settings.rules, horizons_us)
        get_logger(__name__).info("rules of a file", file=str(settings.rules))
        yield ActiveRules(scopes, fixed_snapshot(rules), NoReporter(), rule_metrics, budget_seconds)
        return
    with ExitStack() as stack:
        refused = metrics.errors.labels("rule_message_refused")
        followed = stack.enter_context(
            follower(service, horizons_us, lambda reason: refused.inc(), metrics.registry_outage)
        )
        reporter = status_reporter(service, settings.name)
        stack.callback(reporter.close)
        found = followed.wait_until_read(_RULES_WAIT_SECONDS)
        get_logger(__name__).info("rules read", rules=len(found.rules), broken=len(found.broken))
        yield ActiveRules(scopes, followed.snapshot, reporter, rule_metrics, budget_seconds)
