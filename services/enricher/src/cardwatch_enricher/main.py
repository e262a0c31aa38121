"""The command ``cardwatch-enricher``."""

from typing import Annotated

import typer
from cardwatch_service.commands import exit_with_error_message

cli = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@cli.callback(invoke_without_command=True)
def enricher(context: typer.Context) -> None:
    """Build the silver topic: decode, validate and enrich raw transactions, or refuse them with a reason.

    Consumes transactions.raw.v1 (Avro) and transactions.json.v1 (JSON) as a member of the consumer group
    cardwatch-enricher, and publishes to transactions.silver.v1 and transactions.dlq.v1. Runs until SIGTERM or SIGINT.
    Start several instances to share the partitions.

    All settings come from the environment. Those of every service: CARDWATCH_KAFKA_BOOTSTRAP_SERVERS,
    CARDWATCH_SCHEMA_REGISTRY_URL, CARDWATCH_TOPIC_PREFIX, CARDWATCH_METRICS_PORT, CARDWATCH_STALL_SECONDS, ... Its own:

    \b
    CARDWATCH_ENRICHER_BASE_CURRENCY             currency of base_amount_minor            [EUR]
    CARDWATCH_ENRICHER_EXCHANGE_RATES            CSV currency,exponent,rate_e8            [built in]
    CARDWATCH_ENRICHER_MERCHANT_CATEGORY_GROUPS  CSV first,last,group                     [built in]
    CARDWATCH_ENRICHER_BIN_COUNTRIES             CSV bin,country                          [built in]
    CARDWATCH_ENRICHER_FUTURE_TOLERANCE_SECONDS  event_time after the broker's time       [60]
    CARDWATCH_ENRICHER_INSTANCE_ID               stable name of this replica: a killed
                                                 one has its partitions back at once      [none]
    CARDWATCH_ENRICHER_SESSION_TIMEOUT_SECONDS   a silent member loses its partitions     [6]
    CARDWATCH_ENRICHER_BATCH_SIZE                messages published together at most      [1000]
    CARDWATCH_ENRICHER_BATCH_WAIT_SECONDS        how long a batch waits to fill           [0.02]
    CARDWATCH_ENRICHER_BUFFER_MB                 messages in memory, MB: then no more are
                                                 fetched                                  [16]
    CARDWATCH_ENRICHER_COMMIT_INTERVAL_SECONDS   what a crash repeats at most             [0.5]
    CARDWATCH_TOKEN_KEY, CARDWATCH_TOKEN_KEY_ID  key that tokenises card numbers in JSON; [development key]
                                                 `cardwatch keys generate` makes one
    CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY        accept the published development key
                                                 with a broker of another machine         [false]
    CARDWATCH_TOKEN_NEXT_KEY, _NEXT_KEY_ID,      second key during a rotation, and the day
    _NEXT_FROM                                   from which it is the first (docs/token-keys.md)  [none]
    OTEL_EXPORTER_OTLP_ENDPOINT                  OpenTelemetry collector for traces       [none: off]
    """
    if context.invoked_subcommand is not None:
        return
    # Imported here: --help should not wait for Faust.
    from cardwatch_enricher.bootstrap import run

    with exit_with_error_message():
        run()


@cli.command("from-bronze")
def from_bronze(
    to: Annotated[str, typer.Option(help="Delta table to write; it must not exist yet.", show_default=False)],
    tables_dir: Annotated[
        str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory with bronze/transactions in it.")
    ] = ".cardwatch/tables",
) -> None:
    """Enrich all messages of the table bronze.transactions once, and write them to a Delta table instead of a topic.

    A step of `cardwatch tables rebuild`, which says what it can restore and what it cannot. Prints a line of JSON with
    counts for every ten thousand messages and at the end. It needs the registry that assigned the messages' schema ids,
    the topic prefix that the messages were sent with, and the reference tables and settings of the original enricher.
    """
    from cardwatch_enricher.bootstrap import run_from_bronze

    with exit_with_error_message():
        run_from_bronze(tables_dir, to)


def main() -> None:
    """Entry point of the console script."""
    cli()


if __name__ == "__main__":
    main()
