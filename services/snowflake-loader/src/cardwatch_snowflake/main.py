"""The command ``cardwatch-snowflake-loader``."""

from datetime import datetime
from typing import Annotated

import typer
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.settings import ProcessSettings, load_settings
from cardwatch_service.tables import print_table

from cardwatch_snowflake import bootstrap
from cardwatch_snowflake.connection import connected
from cardwatch_snowflake.dependencies import Dependencies
from cardwatch_snowflake.settings import LoaderSettings, SnowflakeSettings
from cardwatch_snowflake.snowflake_warehouse import Load

app = typer.Typer(
    help="Keeps the lakehouse's gold tables in Snowflake as they are in Delta. Settings come from the environment, "
    "SNOWFLAKE_… and CARDWATCH_LOADER_…; services/snowflake-loader/README.md lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Load the changes that exist now, then end.")] = False,
) -> None:
    """Load gold tables into Snowflake until stopped (SIGTERM or Ctrl-C).

    A table that does not exist yet is loaded once it is created. Every load and the record of it (CARDWATCH_LOADS) are
    one
    transaction: the loader may be stopped or killed at any time and goes on where Snowflake says it was. One loader
    per schema.
    """
    with exit_with_error_message():
        service = load_settings(ProcessSettings)
        dependencies = _dependencies(context)
        dependencies.configure_logs("snowflake-loader", service.log_level, service.log_format)
        bootstrap.run(
            service,
            load_settings(SnowflakeSettings),
            load_settings(LoaderSettings),
            once=once,
            dependencies=dependencies,
        )


@app.command()
def status(context: typer.Context) -> None:
    """Show how far each table has come in Snowflake."""
    with exit_with_error_message(), connected(load_settings(SnowflakeSettings), _dependencies(context)) as warehouse:
        _print_loads(warehouse.loads())


@app.command()
def reload(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="gold.alerts, …: as in `status`.")],
) -> None:
    """Request that one whole table is loaded again.

    Readers see the old rows until the new ones are complete. A running loader notices the request with the table's next
    change, within an hour at the latest; one that is started, at once.
    """
    with exit_with_error_message(), connected(load_settings(SnowflakeSettings), _dependencies(context)) as warehouse:
        if not warehouse.forget_progress(table):
            known = ", ".join(line.table for line in warehouse.loads()) or "none yet"
            raise typer.BadParameter(f"{table} was never loaded; loaded are: {known}", param_hint="TABLE")
        typer.echo(f"{table} will be loaded again as a whole; until then its rows stay as they are")


def _dependencies(context: typer.Context) -> Dependencies:
    return context.obj or Dependencies()


def _print_loads(loads: list[Load]) -> None:
    rows = []
    for line in loads:
        in_progress = ""
        if line.snapshot_version is not None:
            in_progress = f"loading the whole of version {line.snapshot_version}: {line.snapshot_rows:,} rows so far"
        rows.append(
            (
                line.table,
                _number(line.version),
                _time(line.committed_at),
                _number(line.upserted),
                _number(line.deleted),
                _time(line.loaded_at),
                in_progress,
            )
        )
    columns = ("table", "version", "as of (UTC)", "upserted", "deleted", "loaded at (UTC)", "")
    print_table(columns, rows, align_right=("version", "upserted", "deleted"))


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _time(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"
