"""``cardwatch tables optimize | vacuum | retain | forget``: keeping the lakehouse's tables, beside the queries."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_lakehouse.catalog import LAYERS, Catalog
from cardwatch_lakehouse.maintenance import erasure, optimize, retention
from cardwatch_lakehouse.maintenance import vacuum as cleaning
from cardwatch_units.durations import parse_duration

from cardwatch_cli.output import counted, print_table
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption

TablesArgument = Annotated[list[str] | None, typer.Argument(metavar="[TABLE]...", help="gold.alerts; default: all")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

NOT_REACHED: Final = (
    "Not erased: what Kafka's topics hold until their retention (7 days of transactions and profiles, 30 days of "
    "alerts, late and refused messages), the detector's state (its horizon, 30 h), checkpoints, the notifier's outbox, "
    "and copies made elsewhere (Snowflake, exports, backups). docs/table-maintenance.md says how to deal with each. "
    "A transaction that comes from now on is kept again."
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``cardwatch tables``."""
    app.command("optimize")(optimize_command)
    app.command("vacuum")(vacuum_command)
    app.command("retain")(retain_command)
    app.command("forget")(forget_command)


def optimize_command(
    tables: TablesArgument = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    settled: Annotated[
        str, typer.Option(help="Put a past day in order of cards when nothing was written to it for so long.")
    ] = "2h",
    dry_run: DryRunOption = False,
) -> None:
    """Join small files, and put past days in the order that questions want; what a table holds stays the same."""
    catalog, after = Catalog(tables_dir), _duration("--settled", settled)
    rows: list[Sequence[object]] = []
    for name in _chosen(catalog, tables):
        if dry_run:
            for task in optimize.tasks(catalog, name, datetime.now(UTC), after):
                rows.append((name, str(task.partition), str(task.action), len(task.partition.files), ""))
        else:
            rows += (
                (done.table, done.partition, str(done.action), done.before, done.after)
                for done in optimize.optimize(catalog, name, after)
            )
    if rows:
        print_table(("table", "partition", "to do" if dry_run else "done", "files", "files after"), rows)
    else:
        typer.echo("nothing to do")


def vacuum_command(
    tables: TablesArgument = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    keep: Annotated[str, typer.Option(help="How far back versions stay readable (--at, --version).")] = "7d",
    dry_run: DryRunOption = False,
    force: Annotated[bool, typer.Option(help="Also keep less than a day: only if nothing reads or writes.")] = False,
) -> None:
    """Delete files that left the tables long ago, and those of writes that were never finished."""
    catalog, kept = Catalog(tables_dir), _duration("--keep", keep)
    for name in _chosen(catalog, tables):
        files = cleaning.vacuum(catalog, name, kept, dry_run=dry_run, force=force)
        typer.echo(f"{name}: {counted(len(files), 'file')} {'would be ' if dry_run else ''}deleted")


def retain_command(
    tables: TablesArgument = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    bronze: Annotated[str, typer.Option(help="How old rows of bronze may get: 30d. Default: they stay.")] = "",
    silver: Annotated[str, typer.Option(help="How old rows of silver may get: 400d.")] = "",
    gold: Annotated[str, typer.Option(help="How old rows of gold may get: 400d.")] = "",
    dry_run: DryRunOption = False,
) -> None:
    """Delete the rows that are older than they may get; their files go with a later vacuum."""
    ages = {
        layer: _duration(f"--{layer}", age) for layer, age in zip(LAYERS, (bronze, silver, gold), strict=True) if age
    }
    if not ages:
        raise ConfigurationError("no age is given; --bronze 30d, --silver 400d or --gold 400d would be right")
    catalog, now = Catalog(tables_dir), datetime.now(UTC)
    for name in _chosen(catalog, tables):
        age = retention.age_of(name, ages)
        if age is not None:
            rows = (
                retention.older_than(catalog, name, age, now)[0]
                if dry_run
                else retention.retain(catalog, name, age, now)
            )
            typer.echo(f"{name}: {counted(rows, 'row')} {'would be ' if dry_run else ''}deleted")


def forget_command(
    card_token: Annotated[str, typer.Option(help="The card's token, as silver.transactions has it.")],
    tables_dir: TablesDirOption = TABLES_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    grace: Annotated[
        str, typer.Option(help="Between deleting rows and their files, for who reads these; 0s if nobody does.")
    ] = "5m",
    dry_run: DryRunOption = False,
) -> None:
    """Erase one card from all tables, their old versions and their logs; stopped half-way, run it again.

    Rows go first. Their files stay for the time of --grace, so that queries and streams that read them can finish.
    """
    if not card_token.isalnum() or len(card_token) < _SHORTEST_TOKEN:
        raise ConfigurationError(
            f"{card_token!r} is no card token; 32 hexadecimal digits, as in silver.transactions, would be right"
        )
    catalog, pause = Catalog(tables_dir), _duration("--grace", grace)
    if not dry_run and not yes:
        typer.confirm(f"Erase card {card_token} from the tables in {tables_dir}? It cannot be undone", abort=True)
    done = erasure.Forgotten()
    erasure.delete_rows(catalog, card_token, done, dry_run=dry_run)
    _say_rows(done, dry_run)
    if dry_run:
        return
    if pause:
        typer.echo(f"the files that held them stay for {grace}, for queries that read them")
        time.sleep(pause.total_seconds())
    # What a micro-batch that ran meanwhile had made of rows it read before.
    erasure.delete_rows(catalog, card_token, done)
    erasure.purge(catalog, card_token, done)
    files = sum(done.files.values())
    typer.echo(f"{counted(files, 'old file')} deleted, {counted(done.log_files, 'log file')} cleaned")
    typer.echo(NOT_REACHED)
    if done.unfinished or done.left:
        raise ConfigurationError(
            f"these files still hold the card: {', '.join([*done.unfinished, *done.left])}; they may belong to a "
            "write that goes on: the same command again, a day from now, would be right"
        )


_SHORTEST_TOKEN: Final = 16


def _say_rows(done: erasure.Forgotten, dry_run: bool) -> None:
    if not done.rows:
        typer.echo("no table has a row of this card; old versions may")
    for name, rows in done.rows.items():
        typer.echo(f"{name}: {counted(rows, 'row')} {'would be ' if dry_run else ''}deleted")


def _chosen(catalog: Catalog, tables: Sequence[str] | None) -> list[str]:
    names = catalog.names()
    unknown = [name for name in tables or () if name not in names]
    if unknown:
        raise ConfigurationError(f"there is no table {unknown[0]}; there are {', '.join(names)}")
    return list(tables or names)


def _duration(option: str, text: str) -> timedelta:
    with configuration_errors(option):
        return timedelta(microseconds=parse_duration(text, allow_zero=True))
