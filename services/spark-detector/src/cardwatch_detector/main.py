"""The command ``cardwatch-detector``."""

from contextlib import suppress
from typing import Annotated

import typer
from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.retry import StoppedError
from cardwatch_service.shutdown import Shutdown

from cardwatch_detector.velocity.rebuild_state.position import PositionFrom

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


@app.command("rebuild-state")
def rebuild_state(
    position: Annotated[
        PositionFrom,
        typer.Option(
            help="Where the detector was: `checkpoint` (up to where the old checkpoint has committed), `now` (at the "
            "topic's end: alerts of what it has not evaluated are missing then), `beginning` (nowhere: it "
            "evaluates all that the topic has, and publishes the same alerts with the same ids again)."
        ),
    ] = PositionFrom.CHECKPOINT,
    checkpoint: Annotated[
        str,
        typer.Option("--from", help="Directory of the checkpoint that tells the position, if not the detector's."),
    ] = "",
    incomplete_history: Annotated[
        bool,
        typer.Option(help="Go on although the silver topic does not reach back as far as the horizon."),
    ] = False,
) -> None:
    """Rebuild the detector's state from the silver topic, without publishing an alert again or losing one.

    Needed when the detector refuses its state: after an upgrade with another layout, when the checkpoint is lost or
    damaged, and for other scopes, another number of partitions or longer horizons. Run it with the detector's settings
    (CARDWATCH_*, CARDWATCH_SPARK_*, CARDWATCH_DETECTOR_*) while the detector does not run, then start the detector.

    It reads what the horizon needs up to the position, into a new directory of CARDWATCH_DETECTOR_CHECKPOINT_DIR, and
    logs its progress. Killed, it leaves the old state in use; started again, it goes on where it was. The old state is
    deleted in the end.
    """
    from cardwatch_detector.velocity.rebuild_state.bootstrap import RebuildOptions, run_rebuild_state

    with exit_with_error_message():
        try:
            run_rebuild_state(Shutdown().install(), RebuildOptions(position, checkpoint, incomplete_history))
        except StoppedError as error:
            raise CardwatchError("stopped before the state was built: start it again to go on") from error


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
