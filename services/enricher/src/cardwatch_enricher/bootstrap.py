"""All wiring of the enricher, in one place."""

import tempfile
from functools import partial
from pathlib import Path

import uvloop
from cardwatch_contracts.registry import Registry
from cardwatch_kafka.configuration import producer_config
from cardwatch_kafka.errors import StoppedError
from cardwatch_kafka.producer import KafkaProducer
from cardwatch_kafka.publisher import BatchPublisher
from cardwatch_service import logs
from cardwatch_service.commands import require_extra
from cardwatch_service.metrics import Metrics
from cardwatch_service.progress_watch import ProgressWatch
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.tracing import tracing
from cardwatch_units.timestamps import now_microseconds

from cardwatch_enricher.pipeline.dead_letters import DeadLetterBuilder
from cardwatch_enricher.pipeline.decode_avro import AvroTransactions
from cardwatch_enricher.pipeline.decode_json import JsonTransactions
from cardwatch_enricher.pipeline.enricher import Enricher
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.pipeline.tokeniser import Tokeniser
from cardwatch_enricher.pipeline.validator import Validator
from cardwatch_enricher.startup import (
    Settings,
    internal_error_report,
    load_enricher_settings,
    prepare_topics,
    publish_retry_report,
    raw_topics,
    start_health_endpoint,
    transaction_decoder,
)
from cardwatch_enricher.stream.application import StreamApplication
from cardwatch_enricher.stream.batch_processor import BatchProcessor
from cardwatch_enricher.stream.faust_settings import make_faust
from cardwatch_enricher.stream.restarts import GracePeriod, Readiness, run_until_stopped
from cardwatch_enricher.stream.traces import BatchTraces

log = logs.get_logger(__name__)


def build_pipeline(settings: Settings, registry: Registry, metrics: Metrics) -> Pipeline:
    """The pipeline for these settings.

    Raises:
        ConfigurationError: a reference table is wrong.
    """
    service, own, tokens = settings
    derivation = own.derivation()
    tokenise = Tokeniser(tokens.token_keys())
    raw_topic, json_topic = raw_topics(service)
    decode = transaction_decoder(service, registry, metrics)
    exempt_fields = service.card_number_exempt_fields
    avro_transactions = AvroTransactions(decode, exempt_fields)
    return Pipeline(
        decoders={raw_topic: avro_transactions, json_topic: JsonTransactions(tokenise)},
        validate=Validator(derivation.currencies, own.future_tolerance_seconds, exempt_fields),
        enrich=Enricher(derivation, tokens.rotation()),
        build_dead_letter=DeadLetterBuilder(json_topic, avro_transactions.mask, tokenise, exempt_fields),
        now=now_microseconds,
        report_internal_error=internal_error_report(metrics),
        schema_look_ups={raw_topic: decode.look_up},
    )


def run() -> None:
    """Run the enricher until SIGTERM or SIGINT.

    Raises:
        CardwatchError: it cannot start: a setting, a table, or the registry's schemas are wrong.
    """
    settings = load_enricher_settings()
    service, own, _ = settings
    shutdown, metrics, readiness = Shutdown().install(), Metrics(), Readiness()
    registry = service.registry()
    pipeline = build_pipeline(settings, registry, metrics)
    watch = ProgressWatch("the consumer", service.stall_seconds)
    health = start_health_endpoint(service, metrics, healthy=watch.problem, ready=readiness.not_ready)
    try:
        grace_period = GracePeriod(shutdown, own.stop_grace_seconds, on_wait=watch.report_alive)
        targets = prepare_topics(service, registry, shutdown)
        config = producer_config(service.kafka_config(), own.producer_options())
        producer = KafkaProducer(config, stopped=lambda: grace_period.requested)
        publisher = BatchPublisher(producer, count_retry=publish_retry_report(metrics, watch))
        with (
            tracing("cardwatch-enricher", metrics) as tracer,
            tempfile.TemporaryDirectory(prefix="cardwatch-enricher-") as data_dir,
        ):
            traces = None if tracer is None else BatchTraces(tracer, service.consumer_group("enricher"))
            process = BatchProcessor(pipeline, publisher, targets, metrics, traces=traces, stop=grace_period)

            def make_application() -> StreamApplication:
                faust = partial(make_faust, service, own, Path(data_dir), metrics)
                return StreamApplication(faust, own, raw_topics(service), process, metrics, watch)

            uvloop.run(run_until_stopped(make_application, shutdown, readiness, metrics))
        log.info("stopped")
    except StoppedError as error:
        log.info(str(error))
    finally:
        health.stop()


def run_from_bronze(tables_dir: str, to: str) -> None:
    """Enrich the messages in bronze into a Delta table, printing the progress to standard output.

    Raises:
        CardwatchError: a setting, a table, or the registry's schemas are wrong, or bronze cannot be read.
    """
    with require_extra("cardwatch-enricher[bronze]"):
        from cardwatch_enricher.rebuild.bronze_messages import BronzeMessages
        from cardwatch_enricher.rebuild.staged_table import write_enriched

    settings = load_enricher_settings()
    pipeline = build_pipeline(settings, settings.service.registry(), Metrics())
    write_enriched(to, pipeline, BronzeMessages(tables_dir, raw_topics(settings.service)))
