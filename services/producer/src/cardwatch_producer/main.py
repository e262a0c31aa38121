"""The command line: ``cardwatch-producer simulate`` and ``cardwatch-producer replay``."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_service.commands import exit_with_error_message, require_extra
from cardwatch_service.logs import get_logger
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.token_settings import load_token_settings
from cardwatch_units.timestamps import now_microseconds

from cardwatch_producer.bootstrap import Producer, producer
from cardwatch_producer.messages import MessageEncoder
from cardwatch_producer.progress import SendingProgress
from cardwatch_producer.sending import Timed, send_all
from cardwatch_producer.simulation import SimulationConfig, make_population
from cardwatch_producer.simulation import simulate as simulated
from cardwatch_producer.summary import Summary
from cardwatch_producer.units import parse_seconds, parse_speed, parse_time

if TYPE_CHECKING:
    from cardwatch_producer.replay import Replayed

app = typer.Typer(
    name="cardwatch-producer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

log = get_logger(__name__)

T = TypeVar("T", bound=Timed)


@app.callback()
def main() -> None:
    """Send card transactions to Kafka: simulated ones, or those of a file.

    The target is in the environment: CARDWATCH_KAFKA_BOOTSTRAP_SERVERS, CARDWATCH_SCHEMA_REGISTRY_URL,
    CARDWATCH_TOPIC_PREFIX; the key of the card tokens in CARDWATCH_TOKEN_KEY. OTEL_EXPORTER_OTLP_ENDPOINT names a
    collector for traces, which are off without.

    Ends with one line of JSON on standard output that counts what was sent, and with exit code 0 only if the broker
    acknowledged every message. SIGTERM or Ctrl-C stops it cleanly: what was begun is acknowledged first.
    """


class MessageFormat(StrEnum):
    """How transactions are sent."""

    AVRO = "avro"
    JSON = "json"


Rate = Annotated[float, typer.Option(min=0.001, max=100_000, help="Transactions per second.")]
Duration = Annotated[str, typer.Option(help="How long: 60s, 5m, 2h; 0 until it is stopped.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed, rate, duration and start time: the same data.")]
StartTime = Annotated[
    str | None, typer.Option(help="Event time of the first transaction, ISO 8601.", show_default="now")
]
FraudFraction = Annotated[
    float, typer.Option(min=0.0, max=0.5, help="Share of transactions that are fraud, in whole episodes.")
]
LateFraction = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share that is sent some time after it happened.")]
MaxLate = Annotated[str, typer.Option(help="How late at most.")]
DuplicateFraction = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share that is sent twice, the second time within 5 s.")
]
InvalidFraction = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share that is made invalid, so that the enricher must refuse it.")
]
SentFormat = Annotated[
    MessageFormat, typer.Option("--format", help="json: as legacy producers send it, with the card number.")
]
JsonFraction = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Share that is sent as JSON.", show_default="all or none, by --format"),
]
Cards = Annotated[
    int | None, typer.Option(min=1_000, max=10_000_000, help="Cards.", show_default="enough for the rate")
]
Merchants = Annotated[
    int | None, typer.Option(min=4_000, max=10_000_000, help="Merchants.", show_default="enough for the rate")
]
MaxMessages = Annotated[int | None, typer.Option(min=1, help="Stop after this many messages.", show_default="no limit")]


@app.command()
def simulate(
    rate: Rate = 200.0,
    duration: Duration = "60s",
    seed: Seed = 1,
    start_time: StartTime = None,
    fraud_fraction: FraudFraction = 0.02,
    late_fraction: LateFraction = 0.0,
    max_late: MaxLate = "60s",
    duplicate_fraction: DuplicateFraction = 0.0,
    invalid_fraction: InvalidFraction = 0.0,
    message_format: SentFormat = MessageFormat.AVRO,
    json_fraction: JsonFraction = None,
    cards: Cards = None,
    merchants: Merchants = None,
    max_messages: MaxMessages = None,
) -> None:
    """Simulate cardholders who go about their day, and fraud among them.

    Fraud comes in episodes: velocity bursts, card testing at one merchant, impossible travel, account takeover. Which
        transactions are fraud or made invalid on purpose is published on the topic transactions.labels.v1 only.
    """
    with exit_with_error_message():
        share = json_fraction if json_fraction is not None else float(message_format is MessageFormat.JSON)
        seconds = parse_seconds("--duration", duration)
        config = SimulationConfig(
            rate=rate,
            seed=seed,
            start_us=0 if start_time is None else parse_time("--start-time", start_time),
            duration_seconds=seconds or math.inf,
            max_messages=max_messages,
            fraud_fraction=fraud_fraction,
            late_fraction=late_fraction,
            max_late_seconds=parse_seconds("--max-late", max_late),
            duplicate_fraction=duplicate_fraction,
            invalid_fraction=invalid_fraction,
            json_fraction=share,
        )
        with producer(json_topic=share > 0) as parts:
            ok = _simulate(parts, config, cards=cards, merchants=merchants, starts_now=start_time is None)
    sys.exit(0 if ok else 1)


def _simulate(
    parts: Producer, config: SimulationConfig, *, cards: int | None, merchants: int | None, starts_now: bool
) -> bool:
    population = make_population(config, parts.tokens.key_bytes(), cards, merchants)
    if population.card_count < config.cards_needed() // 2:
        log.warning(
            "with so few cards, each pays so often that ordinary payments will look like fraud",
            cards=population.card_count,
            cards_needed=config.cards_needed(),
        )
    # The clock starts here, because generating the population takes a moment and event times count from the start.
    start_us = now_microseconds() if starts_now else config.start_us
    config = replace(config, start_us=start_us, token_key_id=parts.tokens.key_id)
    expected = config.max_messages
    if expected is None and math.isfinite(config.duration_seconds):
        expected = int(config.rate * config.duration_seconds * (1 + config.duplicate_fraction))
    summary = Summary()
    encode = MessageEncoder(parts.transaction_encoder, parts.label_encoder, parts.topic_prefix)
    return _send(parts, simulated(config, population), expected, encode=encode, summary=summary, count=summary.add)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A .csv (with a header line) or .parquet file.", show_default=False)],
    mapping: Annotated[
        Path, typer.Option(help="YAML: which column becomes which field; see config/mappings.", show_default=False)
    ],
    speed: Annotated[str, typer.Option(help="1x: as it happened, 60x: sixty times faster, max: at once.")] = "max",
    shift: Annotated[
        bool, typer.Option("--shift-to-now", help="Move event times so that the latest is now when it is sent.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.", show_default="all")] = None,
) -> None:
    """Replay the transactions of a file through a column mapping, in the file's order.

    Distances between event times stay as they are in the file, at any speed. The file is read in batches and may be
    larger than the memory. Rows that the mapping calls fraud are published on the topic transactions.labels.v1.
    """
    with exit_with_error_message():
        with require_extra("cardwatch-producer[replay]"):
            from cardwatch_mapping.mapping import load_mapping
            from cardwatch_mapping.rows import RowReader
            from cardwatch_mapping.tables import open_table

            from cardwatch_producer.replay import event_time_span, shift_to_now
            from cardwatch_producer.replay import replay as replayed
        factor = parse_speed(speed)
        columns = load_mapping(mapping)
        table = open_table(file)
        tokens = load_token_settings(load_settings(ServiceSettings))
        reader = RowReader(columns, table.columns, token_key=tokens.key_bytes(), token_key_id=tokens.key_id)
        with producer(json_topic=False) as parts:
            span = event_time_span(table, columns, reader, limit) if shift else None
            shift_us = 0 if span is None else shift_to_now(span, now_microseconds(), factor)
            rows = replayed(table, columns, reader, speed=factor, shift_us=shift_us, limit=limit)
            expected = min(table.row_count or 0, limit or table.row_count or 0) or limit
            ok = _replay(parts, rows, expected)
    sys.exit(0 if ok else 1)


def _replay(parts: Producer, rows: "Iterator[Replayed]", expected: int | None) -> bool:
    from cardwatch_producer.replay import ReplayEncoder

    summary = Summary()

    def count(row: "Replayed") -> None:
        if row.label is not None:
            summary.add_fraud(None)

    encode = ReplayEncoder(parts.transaction_encoder, parts.label_encoder, parts.topic_prefix)
    return _send(parts, rows, expected, encode=encode, summary=summary, count=count)


def _send(
    parts: Producer,
    items: Iterator[T],
    expected: int | None,
    *,
    encode: Callable[[T], list[OutgoingMessage]],
    summary: Summary,
    count: Callable[[T], None],
) -> bool:
    """Send everything, wait for the broker, print the summary; returns whether everything arrived.

    Args:
        expected: the approximate number of items; None if it is unknown.
        count: counts an item that was sent in the summary.
    """
    pacer = parts.pacer()
    with SendingProgress(parts.sink, expected) as progress:

        def sent(item: T) -> None:
            count(item)
            progress.advance()

        send_all(
            items,
            encode=encode,
            sink=parts.sink,
            pacer=pacer,
            stopped=lambda: parts.shutdown.requested,
            sent=sent,
        )
    parts.sink.flush()
    print(summary.as_json(parts.sink.acknowledged, parts.sink.failed, pacer.elapsed, parts.topic_prefix), flush=True)
    return parts.sink.failed == 0


if __name__ == "__main__":
    app()
