"""The command ``cardwatch-detector``."""

import typer
from cardwatch_service.commands import one_sentence_errors
from cardwatch_service.shutdown import Shutdown

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""
    Cardwatch's Spark service. Settings come from the environment: CARDWATCH_* (Kafka, registry, metrics),
    CARDWATCH_SPARK_* (Spark), CARDWATCH_DETECTOR_* (velocity), CARDWATCH_LAKEHOUSE_* (tables).
    """,
)


@app.command()
def velocity() -> None:
    """Evaluate rules over exact sliding windows, one query a scope; alerts go to alerts.v1."""
    from cardwatch_detector.bootstrap import run_velocity

    with one_sentence_errors():
        run_velocity(Shutdown().install())


@app.command()
def lakehouse() -> None:
    """Write bronze, silver and gold tables (Delta) from the topics."""
    from cardwatch_detector.lakehouse.bootstrap import run

    with one_sentence_errors():
        raise typer.Exit(run(Shutdown().install()))


if __name__ == "__main__":
    app()
