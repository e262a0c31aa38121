"""The wiring of the velocity queries."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_LATE, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder
from cardwatch_rulebook.connect import follower, status_reporter
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.parse import load_rules
from cardwatch_service.logs import configure, get
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.tracing import Tracer, tracing
from cardwatch_units.timestamps import now_microseconds

from cardwatch_detector.runtime.application import run_queries
from cardwatch_detector.runtime.object_stores import for_stores
from cardwatch_detector.runtime.session import INTERPRETED, JAVA_OPTIONS, PEAK_JVM, STEADY_JVM
from cardwatch_detector.velocity.late.event_times import EventTimeReader
from cardwatch_detector.velocity.late.late_publisher import LateMetrics, LatePublisher
from cardwatch_detector.velocity.late.search import LateSearch
from cardwatch_detector.velocity.publishing.alert_traces import AlertTraces
from cardwatch_detector.velocity.publishing.publisher import KafkaPublisher
from cardwatch_detector.velocity.query import AlertMetrics, VelocityQuery
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, NoReporter, RuleMetrics, fixed
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.silver_range import KafkaSilverReader
from cardwatch_detector.velocity.warm_up import warm_up

# Generated code that holds a literal of the micro-batch (its time, the watermark) is compiled anew in each: for small
# batches interpreting is faster, for large ones compiling pays.
_INTERPRET: Final = {**INTERPRETED, JAVA_OPTIONS: STEADY_JVM}
_COMPILE: Final = {JAVA_OPTIONS: PEAK_JVM}
_RULES_WAIT_SECONDS: Final = 60.0
# Alerts wait for it.
_TRACES_WAIT_SECONDS: Final = 2.0


def spark_config(settings: VelocitySettings) -> Mapping[str, str]:
    """What the velocity queries ask of Spark beyond what every session has."""
    config = {
        "spark.sql.shuffle.partitions": str(settings.partitions),
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        # A commit appends what has changed to a log, and snapshots are made in the background: without this each
        # micro-batch flushes all of RocksDB and uploads its files.
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        # Counting the rows costs a read for each write.
        "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
        # The default of 8 MB holds next to nothing of the state: nearly each read would decompress a block.
        "spark.sql.streaming.stateStore.rocksdb.blockCacheSizeMB": str(settings.state_cache_mb),
        "spark.sql.streaming.stateStore.rocksdb.compression": "none",
        "spark.shuffle.compress": "false",
        # Above this many keys in a partition the aggregation would sort instead of hash.
        "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "1000000",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        # Any other limit makes Spark add up the size of a batch anew for each row, all its nested vectors.
        "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
    }
    config |= _INTERPRET if settings.tuned_for == "latency" else _COMPILE
    return config | for_stores((), settings.checkpoint_dir)


def run_velocity(shutdown: Shutdown) -> None:
    """Run the velocity queries until the process is asked to stop.

    Raises:
        CardwatchError: settings or rules are wrong, or a query cannot be kept running.
    """
    service = load(ServiceSettings)
    settings = load(VelocitySettings)
    configure("spark-detector", service.log_level, service.log_format)
    scopes = settings.scope_list()
    metrics = Metrics()
    topic = ALERTS.name(service.topic_prefix)
    publisher = KafkaPublisher(service.kafka_config(), topic)
    alert_metrics = AlertMetrics(metrics, topic)
    late = _late_publisher(scopes, service, settings, metrics)
    with (
        tracing("cardwatch-detector", metrics) as tracer,
        _active_rules(scopes, service, settings, metrics) as keeper,
    ):
        query = VelocityQuery(
            tuple(scopes),
            keeper,
            service,
            settings,
            publisher,
            late,
            alert_metrics,
            now_microseconds,
            None if tracer is None else _traces(tracer, service),
        )
        run_queries(
            "cardwatch-velocity",
            [query],
            service,
            metrics,
            spark_config(settings),
            shutdown,
            prepare=lambda session: warm_up(session, query, shutdown) if settings.warm_up else None,
        )


def _late_publisher(
    scopes: list[str], service: ServiceSettings, settings: VelocitySettings, metrics: Metrics
) -> LatePublisher:
    kafka, prefix, registry = service.kafka_config(), service.topic_prefix, service.registry()
    silver = TRANSACTIONS_SILVER.name(prefix)
    return LatePublisher(
        settings.name,
        silver,
        KafkaSilverReader(kafka, silver),
        LateSearch(
            EventTimeReader(registry),
            Decoder("enriched_transaction", registry),
            {scope: SCOPE_KEYS[scope] for scope in scopes},
            {scope: settings.horizon_us(scope) for scope in scopes},
        ),
        KafkaPublisher(kafka, TRANSACTIONS_LATE.name(prefix)),
        LateMetrics(metrics, prefix, scopes),
    )


def _traces(tracer: Tracer, service: ServiceSettings) -> AlertTraces:
    silver, registry = TRANSACTIONS_SILVER.name(service.topic_prefix), service.registry()
    return AlertTraces(
        tracer,
        silver,
        KafkaSilverReader(service.kafka_config(), silver, headers=True, silence_seconds=_TRACES_WAIT_SECONDS),
        Decoder("enriched_transaction", registry),
        Decoder("alert", registry),
    )


@contextmanager
def _active_rules(
    scopes: list[str], service: ServiceSettings, settings: VelocitySettings, metrics: Metrics
) -> Iterator[ActiveRules]:
    horizons_us = {scope: settings.horizon_us(scope) for scope in scopes}
    rule_metrics = RuleMetrics(metrics)
    budget = settings.rule_budget_seconds
    if settings.rules is not None:
        rules = load_rules(settings.rules, horizons_us)
        get(__name__).info("rules of a file", file=str(settings.rules))
        yield ActiveRules(scopes, fixed(rules), NoReporter(), rule_metrics, budget)
        return
    with ExitStack() as stack:
        refused = metrics.errors.labels("rule_message_refused")
        followed = stack.enter_context(follower(service, horizons_us, lambda reason: refused.inc()))
        reporter = status_reporter(service, settings.name)
        stack.callback(reporter.close)
        found = followed.wait_until_read(_RULES_WAIT_SECONDS)
        get(__name__).info("rules read", rules=len(found.rules), broken=len(found.broken))
        yield ActiveRules(scopes, followed.snapshot, reporter, rule_metrics, budget)
