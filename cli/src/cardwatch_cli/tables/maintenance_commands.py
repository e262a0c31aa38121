"""``cardwatch tables optimize | vacuum | retain | forget``: maintenance of the tables while they are written."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_lakehouse.audit.table import count_mentions
from cardwatch_lakehouse.card_tokens import find_contradictions, tokens_of_cards
from cardwatch_lakehouse.catalog import LAYERS, Catalog
from cardwatch_lakehouse.maintenance import erasure, optimize, retention
from cardwatch_lakehouse.maintenance import vacuum as cleaning
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_lakehouse.maintenance.message_ownership import Match
from cardwatch_lakehouse.maintenance.survey import Survey
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES
from cardwatch_service.tables import print_table
from cardwatch_units.durations import parse_duration

from cardwatch_cli.output import counted
from cardwatch_cli.tables.message_reader import registered_message_reader
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.tables.sole_writer import sole_writer

TablesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TABLE]...", help="Such as gold.alerts; default: all.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]

_TOKEN: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOT_ERASED: Final = (
    "Not erased: messages in Kafka's topics until their retention (7 days of transactions and profiles, 30 days of "
    "alerts, late and refused messages), the detector's state (its horizon, 30 h), checkpoints, the notifier's outbox, "
    "changes of lists and rules that name the card (their topics and bronze.rule_changes, the audit trail), and "
    "copies made elsewhere (Snowflake, exports, backups). docs/table-maintenance.md says how to deal with each. "
    "New transactions of the card are stored again."
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
        str, typer.Option(help="Sort a past day by card when nothing was written to it for this long.")
    ] = "2h",
    dry_run: DryRunOption = False,
) -> None:
    """Merge small files, and sort past days as queries read them. The rows of a table stay the same."""
    catalog, after = Catalog(tables_dir), _duration("--settled", settled)
    rows: list[Sequence[object]] = []
    names = _chosen(catalog, tables)
    with sole_writer(tables_dir, "optimize", dry_run=dry_run) as check:
        for name in names:
            if not dry_run:
                check()
                rows += (
                    (done.table, done.partition, str(done.action), done.before, done.after)
                    for done in optimize.optimize(catalog, name, after)
                )
                continue
            for task in optimize.tasks(catalog, name, datetime.now(UTC), after):
                rows.append((name, str(task.partition), str(task.action), len(task.partition.files), ""))
    if rows:
        print_table(("table", "partition", "to do" if dry_run else "done", "files", "files after"), rows)
    else:
        typer.echo("nothing to do")


def vacuum_command(
    tables: TablesArgument = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    keep: Annotated[str, typer.Option(help="How long old versions stay readable (--at, --version).")] = "7d",
    dry_run: DryRunOption = False,
    force: Annotated[
        bool, typer.Option(help="Allow --keep of less than a day; safe only if nothing reads or writes.")
    ] = False,
) -> None:
    """Delete files that no kept version of a table needs, and files of writes that were never finished."""
    catalog, kept = Catalog(tables_dir), _duration("--keep", keep)
    names = _chosen(catalog, tables)
    with sole_writer(tables_dir, "vacuum", dry_run=dry_run) as check:
        for name in names:
            check()
            files = cleaning.vacuum(catalog, name, kept, dry_run=dry_run, force=force)
            typer.echo(f"{name}: {counted(len(files), 'file')} {'would be ' if dry_run else ''}deleted")


def retain_command(
    tables: TablesArgument = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    bronze: Annotated[str, typer.Option(help="Retention of bronze, such as 30d. Default: unlimited.")] = "",
    silver: Annotated[str, typer.Option(help="Retention of silver, such as 400d. Default: unlimited.")] = "",
    gold: Annotated[str, typer.Option(help="Retention of gold, such as 400d. Default: unlimited.")] = "",
    dry_run: DryRunOption = False,
) -> None:
    """Delete rows that are older than the retention of their layer. A later vacuum deletes their files."""
    ages = {
        layer: _duration(f"--{layer}", age) for layer, age in zip(LAYERS, (bronze, silver, gold), strict=True) if age
    }
    if not ages:
        raise ConfigurationError("expected a retention such as --bronze 30d, --silver 400d or --gold 400d")
    catalog, now = Catalog(tables_dir), datetime.now(UTC)
    chosen = [(name, retention.age_of(name, ages)) for name in _chosen(catalog, tables)]
    with sole_writer(tables_dir, "retain", dry_run=dry_run) as check:
        for name, age in chosen:
            if age is None:
                continue
            check()
            if dry_run:
                rows = retention.older_than(catalog, name, age, now)[0]
            else:
                rows = retention.retain(catalog, name, age, now)
            typer.echo(f"{name}: {counted(rows, 'row')} {'would be ' if dry_run else ''}deleted")


def forget_command(
    card_token: Annotated[list[str], typer.Option(help="A token of the card, as in silver.transactions; repeatable.")],
    tables_dir: TablesDirOption = TABLES_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    grace: Annotated[
        str, typer.Option(help="Time between deleting rows and their files, for running readers; 0s if there are none.")
    ] = "5m",
    allow_unknown_messages: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-messages",
            help="Go on where bronze.transactions would lose messages that neither silver nor the dead letters have of "
            "the card, such as repeated ones.",
        ),
    ] = False,
    only_given: Annotated[
        bool,
        typer.Option(
            "--only-given", help="Erase the given tokens and none that silver.transactions connects with them."
        ),
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Erase one card from all tables, their old versions and their logs. If it was stopped, run it again.

    After a rotation of token keys a card has several tokens: those that silver.transactions connects with the given
    ones are erased too. They are named first; when it is run again, give all of them. Where two of them are by one key
    it refuses: a message has connected two cards. Then give each token of the card, and --only-given.

    First it counts the card's rows by table and says how they were found; it refuses what may be another card's. Rows
    are deleted before their files, which stay for the time of --grace, so that queries and streams that read them can
    finish. Messages are decoded by the schema registry if CARDWATCH_SCHEMA_REGISTRY_URL is set, and otherwise by the
    schemas of this version.
    """
    catalog, pause, reader = Catalog(tables_dir), _duration("--grace", grace), registered_message_reader()
    tokens = _tokens_to_erase(catalog, card_token, only_given=only_given)
    with sole_writer(tables_dir, "forget", dry_run=dry_run) as check:
        for token in tokens:
            survey = _survey(catalog, token, reader)
            if not allow_unknown_messages:
                survey.check()
        if dry_run:
            return
        if not yes:
            card = ", ".join(tokens)
            typer.confirm(f"Erase card {card} from the tables in {tables_dir}? This cannot be undone", abort=True)
        _erase(catalog, tokens, reader, pause, check)


def _erase(
    catalog: Catalog, tokens: Sequence[str], reader: MessageReader, pause: timedelta, check: Callable[[], None]
) -> None:
    """Delete the card's rows, then their files after a pause; ``check`` is called before each of the steps."""
    done = erasure.Erasure()
    for token in tokens:
        check()
        erasure.delete_rows(catalog, token, done, reader=reader)
    for name, rows in done.rows.items():
        typer.echo(f"{name}: {counted(rows, 'row')} deleted")
    if pause:
        typer.echo(f"the files of these rows stay for {pause.total_seconds():g} s, for queries that read them")
        time.sleep(pause.total_seconds())
    check()
    # Again: a micro-batch that ran meanwhile may have written rows that it derived from the deleted ones.
    for token in tokens:
        erasure.delete_rows(catalog, token, done, reader=reader)
    for token in tokens:
        check()
        erasure.purge(catalog, token, done, reader)
    files = sum(done.files.values())
    typer.echo(f"{counted(files, 'old file')} deleted, {counted(done.log_files, 'log file')} cleaned")
    typer.echo(_NOT_ERASED)
    if done.unfinished or done.left:
        raise ConfigurationError(
            f"these files still contain the card: {', '.join([*done.unfinished, *done.left])}; they may belong to a "
            "write in progress (run the same command again in a day), or describe rows of other cards that mention it"
        )


def _tokens_to_erase(catalog: Catalog, given: Sequence[str], *, only_given: bool) -> Sequence[str]:
    """All tokens of the cards with the given ones; names them where they are more."""
    for token in given:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(
                f"--card-token: expected 32 hexadecimal digits as in silver.transactions, got {token!r}"
            )
    if only_given:
        return sorted(set(given))
    connected = {token: tokens_of_cards(catalog, [token]) for token in given}
    for why in find_contradictions(catalog, connected).values():
        raise ConfigurationError(f"{why}; to erase the card, give each of its own tokens, and --only-given")
    tokens = sorted({token for tokens in connected.values() for token in tokens})
    if len(tokens) > len(given):
        typer.echo(f"the card has {len(tokens)} tokens: {', '.join(tokens)}")
    return tokens


def _survey(catalog: Catalog, token: str, reader: MessageReader) -> Survey:
    """What an erasure of a token would delete, printed."""
    survey = erasure.survey(catalog, token, reader)
    _print_survey(survey)
    if mentions := count_mentions(catalog, token):
        typer.echo(
            f"{BRONZE_RULE_CHANGES.name}: {counted(mentions, 'row')} would be kept: changes of lists or rules that "
            "name the card; erasing one would break the audit trail"
        )
    return survey


def _print_survey(survey: Survey) -> None:
    if not survey.rows:
        typer.echo("no table has a row of this card; old versions may have")
    for name, rows in survey.rows.items():
        typer.echo(f"{name}: {counted(rows, 'row')} would be deleted")
        for match, number in sorted(survey.matches[name].items()):
            if match.erased and match is not Match.COLUMN:
                typer.echo(f"  {number} {match}")
    if survey.alerts_of_others:
        typer.echo(f"gold.alerts: {counted(survey.alerts_of_others, 'alert')} of other cards would lose evidence ids")
    for name, matches in survey.kept.items():
        for match, number in sorted(matches.items()):
            typer.echo(f"{name}: {counted(number, 'row')} would be kept: {match}")


def _chosen(catalog: Catalog, tables: Sequence[str] | None) -> list[str]:
    names = catalog.names()
    unknown = [name for name in tables or () if name not in names]
    if unknown:
        raise ConfigurationError(f"there is no table {unknown[0]}; the tables are {', '.join(names)}")
    return list(tables or names)


def _duration(option: str, text: str) -> timedelta:
    with configuration_errors(option):
        # Zero in one way of writing only, so that a slip of the pen deletes nothing.
        return timedelta(microseconds=parse_duration(text, allow_zero=text == "0s"))
