"""All wiring of the enricher, in one place."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Encoder
from cardwatch_service import logs
from cardwatch_service.commands import needs
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import TokenSettings
from cardwatch_service.tracing import tracing
from cardwatch_units.timestamps import now_microseconds

from cardwatch_enricher.app import StreamApp
from cardwatch_enricher.batch import BatchProcessor, Target
from cardwatch_enricher.decode import AvroTransactions, RememberingRegistry
from cardwatch_enricher.decode_json import JsonTransactions
from cardwatch_enricher.enrich import Enricher
from cardwatch_enricher.message import RawMessage
from cardwatch_enricher.pipeline import Pipeline
from cardwatch_enricher.publish import KafkaPublisher, StoppedError
from cardwatch_enricher.refuse import Refusal
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.tokenise import Tokeniser
from cardwatch_enricher.traces import Traces
from cardwatch_enricher.validate import Validator

log = logs.get(__name__)

_RECONNECT_SECONDS: Final = 2.0
_MAX_RECONNECT_SECONDS: Final = 30.0


def build_pipeline(
    service: ServiceSettings,
    settings: EnricherSettings,
    tokens: TokenSettings,
    registry: Registry,
    metrics: Metrics,
) -> Pipeline:
    """The pipeline for these settings.

    Raises:
        ConfigurationError: a reference table is wrong.
    """
    derivation = settings.derivation()
    tokenise = Tokeniser(tokens.key_bytes(), tokens.key_id)
    json_transactions = JsonTransactions(tokenise)
    json_topic = TRANSACTIONS_JSON.name(service.topic_prefix)

    def report_defect(message: RawMessage, error_type: str, where: str) -> None:
        metrics.errors.labels("internal_error").inc()
        log.error(
            "a defect of the enricher cost a message; it is kept as a dead letter",
            topic=message.topic, partition=message.partition, offset=message.offset, error=error_type, where=where,
        )  # fmt: skip

    return Pipeline(
        decoders={
            TRANSACTIONS_RAW.name(service.topic_prefix): AvroTransactions(registry),
            json_topic: json_transactions,
        },
        validate=Validator(derivation.currencies, settings.future_tolerance_seconds),
        enrich=Enricher(derivation),
        refuse=Refusal(json_topic, json_transactions.known_fields, tokenise),
        now=now_microseconds,
        report_defect=report_defect,
    )


def run() -> None:
    """Run the enricher until SIGTERM or SIGINT.

    Raises:
        CardwatchError: it cannot start: a setting, a table, or the registry's schemas are wrong.
    """
    import uvloop

    service, settings, tokens = load(ServiceSettings), load(EnricherSettings), load(TokenSettings)
    configure_logs(service)
    shutdown = Shutdown().install()
    metrics = Metrics()
    registry = RememberingRegistry(service.registry())
    pipeline = build_pipeline(service, settings, tokens, registry, metrics)

    state = State()
    health = HealthEndpoint(
        metrics.registry, ready=state.not_ready, host=service.metrics_host, port=service.metrics_port
    )
    health.start()
    log.info("metrics and health", address=f"{service.metrics_host}:{health.port}")
    try:
        give_up = GiveUp(shutdown, settings.stop_grace_seconds)
        silver, letters = (
            Target(
                topic.name(service.topic_prefix),
                Encoder(topic.schema, schema_id(registry, topic.subject(service.topic_prefix), topic.schema, shutdown)),
            )
            for topic in (TRANSACTIONS_SILVER, DEAD_LETTERS)
            if topic.schema
        )
        publisher = KafkaPublisher(
            service.kafka_config(),
            delivery_timeout_seconds=settings.delivery_timeout_seconds,
            stopped=give_up,
            count_error=lambda kind: metrics.errors.labels(kind).inc(),
        )
        topics = [topic.name(service.topic_prefix) for topic in (TRANSACTIONS_RAW, TRANSACTIONS_JSON)]

        with (
            tracing("cardwatch-enricher", metrics) as tracer,
            tempfile.TemporaryDirectory(prefix="cardwatch-enricher-") as data_dir,
        ):
            traces = None if tracer is None else Traces(tracer, service.consumer_group("enricher"))
            process = BatchProcessor(pipeline, publisher, silver, letters, metrics, traces=traces, stopped=give_up)

            def stream_app() -> StreamApp:
                return StreamApp(service, settings, topics, process, metrics, Path(data_dir))

            uvloop.run(consume(stream_app, shutdown, state, metrics))
        log.info("stopped")
    except StoppedError as error:
        log.info(str(error))
    finally:
        health.stop()


def run_from_bronze(tables_dir: str, to: str) -> None:
    """Enrich what bronze holds into a Delta table, telling on standard output how far it is.

    Raises:
        CardwatchError: a setting, a table, or the registry's schemas are wrong, or bronze cannot be read.
    """
    with needs("cardwatch-enricher[bronze]"):
        from cardwatch_enricher.bronze_source import BronzeMessages
        from cardwatch_enricher.from_bronze import FromBronze
        from cardwatch_enricher.staging import write_staged

    service, settings, tokens = load(ServiceSettings), load(EnricherSettings), load(TokenSettings)
    configure_logs(service)
    registry = RememberingRegistry(service.registry())
    pipeline = build_pipeline(service, settings, tokens, registry, Metrics())
    topics = [topic.name(service.topic_prefix) for topic in (TRANSACTIONS_RAW, TRANSACTIONS_JSON)]
    bronze = BronzeMessages(tables_dir, topics)
    work = FromBronze(pipeline, bronze.recorded, lambda counts: print(counts.as_json(), flush=True))
    write_staged(to, work.rows(bronze.batches()))
    print(work.counts.as_json(), flush=True)


class State:
    """What the readiness probe looks at."""

    def __init__(self) -> None:
        self.app: StreamApp | None = None

    def not_ready(self) -> str:
        """Empty when the enricher has joined its consumer group."""
        app = self.app
        return "" if app is not None and app.ready else "the enricher has not joined its consumer group"


class GiveUp:
    """Whether a stop was asked for longer ago than the grace period."""

    def __init__(self, shutdown: Shutdown, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._shutdown = shutdown
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._deadline: float | None = None

    def __call__(self) -> bool:
        if not self._shutdown.requested:
            return False
        if self._deadline is None:
            self._deadline = self._clock() + self._grace_seconds
        return self._clock() >= self._deadline


def schema_id(registry: Registry, subject: str, schema_name: str, shutdown: Shutdown) -> int:
    """The id to write with; waits for a registry that does not answer.

    Raises:
        IncompatibleSchemaError: the schema is not registered.
        StoppedError: the service was asked to stop while waiting.
    """
    while True:
        try:
            return registry.id_of(subject, schema_name)
        except RegistryUnavailableError as error:
            log.warning("waiting for the schema registry", error=str(error))
            if shutdown.wait(_RECONNECT_SECONDS):
                raise StoppedError("stopped while waiting for the schema registry") from error


async def consume(make_app: Callable[[], StreamApp], shutdown: Shutdown, state: State, metrics: Metrics) -> None:
    """Run the Faust application, and run it anew whenever its connection to the broker breaks for good."""
    wait_seconds = _RECONNECT_SECONDS
    while not shutdown.requested:
        app = state.app = make_app()
        try:
            await app.run(lambda: shutdown.requested)
        except Exception as error:  # noqa: BLE001  # whatever broke it, a fresh one starts from the last commit
            was_ready, state.app = app.was_ready, None
            wait_seconds = _RECONNECT_SECONDS if was_ready else min(2 * wait_seconds, _MAX_RECONNECT_SECONDS)
            metrics.errors.labels("consumer_restarted").inc()
            log.warning(
                "the consumer broke and is started anew",
                error=str(error) or type(error).__name__, wait_seconds=wait_seconds,
            )  # fmt: skip
            await asyncio.to_thread(shutdown.wait, wait_seconds)


def configure_logs(service: ServiceSettings) -> None:
    """Our logs at the level asked for; Faust's and aiokafka's from warnings on, unless debugging."""
    logs.configure("enricher", service.log_level, service.log_format)
    if service.log_level != "DEBUG":
        for name in ("faust", "mode", "aiokafka", "httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
