"""The command ``cardwatch-detector``."""

from contextlib import suppress
from typing import Annotated

import typer
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.retry import StoppedError
from cardwatch_service.shutdown import Shutdown

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""
    Cardwatch's Spark service. Settings come from the environment: CARDWATCH_* (Kafka, registry, metrics),
    CARDWATCH_SPARK_* (Spark), CARDWATCH_DETECTOR_* (velocity), CARDWATCH_LAKEHOUSE_* (tables);
    OTEL_EXPORTER_OTLP_ENDPOINT names a collector for traces (velocity), which are off without.
    """,
)


@app.command()
def velocity() -> None:
    """Evaluate rules over exact sliding windows of all scopes; alerts go to alerts.v1."""
    from cardwatch_detector.velocity.bootstrap import run_velocity

    with exit_with_error_message(), suppress(StoppedError):
        run_velocity(Shutdown().install())


@app.command()
def lakehouse() -> None:
    """Write bronze, silver and gold tables (Delta) from the topics."""
    from cardwatch_detector.lakehouse.bootstrap import run

    with exit_with_error_message(), suppress(StoppedError):
        raise typer.Exit(run(Shutdown().install()))


@app.command()
def rebuild(
    to: Annotated[str, typer.Option(help="Directory for the rebuilt tables; none of them may exist there.")],
    tables_dir: Annotated[
        str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory of the existing tables.")
    ],
    staged: Annotated[
        str,
        typer.Option(
            help="Table of `cardwatch-enricher from-bronze` to rebuild silver from; without it, only gold is rebuilt."
        ),
    ] = "",
    gold: Annotated[bool, typer.Option(help="Rebuild the gold tables that are computed from silver alone.")] = True,
    alerts: Annotated[bool, typer.Option(help="Make gold.alerts, empty.")] = True,
) -> None:
    """Rebuild silver from enriched transactions, and gold from silver, in another directory.

    A step of `cardwatch tables rebuild`, whose help describes what it covers. Prints a line of JSON for each table.
    Settings are those of the lakehouse (CARDWATCH_SPARK_*, CARDWATCH_LAKEHOUSE_*).
    """
    from cardwatch_detector.lakehouse.rebuild import run

    with exit_with_error_message():
        run(tables_dir=tables_dir, to=to, staged=staged, gold=gold, alerts=alerts)


if __name__ == "__main__":
    app()
