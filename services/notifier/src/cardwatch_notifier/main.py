"""The command ``cardwatch-notifier``."""

import logging
from contextlib import closing
from typing import Annotated

import typer
from cardwatch_service import logs
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.tables import print_table
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND, now_microseconds

from cardwatch_notifier import bootstrap
from cardwatch_notifier.outbox.opening import migrate_outbox, open_outbox
from cardwatch_notifier.outbox.protocol import Backlog
from cardwatch_notifier.settings import NotifierSettings, OutboxSettings

app = typer.Typer(
    help="Delivers alerts to people and machines. Settings come from the environment, CARDWATCH_… and "
    "CARDWATCH_NOTIFIER_…; services/notifier/README.md lists them. OTEL_EXPORTER_OTLP_ENDPOINT names a collector for "
    "traces, which are off without.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
outbox_app = typer.Typer(help="Show the outbox, retry failed deliveries, migrate the schema.", no_args_is_help=True)
app.add_typer(outbox_app, name="outbox")


@app.command()
def run(
    stdout: Annotated[
        bool | None,
        typer.Option(
            "--stdout/--no-stdout",
            help="Write one line per alert to standard output. Default: CARDWATCH_NOTIFIER_STDOUT, else yes.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take alerts from Kafka and deliver them until stopped (SIGTERM or Ctrl-C).

    Alerts go to standard output and, when CARDWATCH_NOTIFIER_WEBHOOK_URL and CARDWATCH_NOTIFIER_WEBHOOK_SECRET are
    set, to that webhook, signed. What a receiver does not take now stays in the outbox and is tried again, over
    restarts too. The outbox is a SQLite file (CARDWATCH_NOTIFIER_OUTBOX_PATH) of one process, or a PostgreSQL database
    (CARDWATCH_NOTIFIER_OUTBOX_URL) that any number of processes share; `outbox migrate` creates its schema.
    """
    with exit_with_error_message():
        service = load_settings(ServiceSettings)
        own = load_settings(NotifierSettings) if stdout is None else load_settings(NotifierSettings, stdout=stdout)
        logs.configure_logging("notifier", service.log_level, service.log_format)
        for library in ("httpx", "httpx2"):
            # They log every request with its URL, which may hold a secret.
            logging.getLogger(library).setLevel(logging.WARNING)
        bootstrap.run(service, own, Shutdown().install())


@outbox_app.command()
def migrate() -> None:
    """Bring the schema of an outbox on PostgreSQL up to this version: before the first start, and at each upgrade.

    Needs CARDWATCH_NOTIFIER_OUTBOX_URL, with CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE or …_PASSWORD, and no broker.
    It is done completely or not at all; several at once wait for each other; without anything to do it changes nothing.
    """
    with exit_with_error_message():
        typer.echo(migrate_outbox(load_settings(OutboxSettings)))


@outbox_app.command()
def status() -> None:
    """Show how many messages are pending, delivered and failed, and the age of the oldest pending one."""
    with exit_with_error_message(), closing(open_outbox(load_settings(OutboxSettings), create=False)) as outbox:
        _print_backlog(outbox.backlog(), now_microseconds())


@outbox_app.command()
def retry(
    receiver: Annotated[str | None, typer.Option(help="Only this receiver: stdout or webhook.")] = None,
) -> None:
    """Make failed deliveries pending again, and enable receivers that answered 410 Gone.

    A notifier that is running sends them within seconds; otherwise they go out when it is started.
    """
    with exit_with_error_message():
        with closing(open_outbox(load_settings(OutboxSettings), create=False)) as outbox:
            known = [backlog.receiver for backlog in outbox.backlog()]
            if receiver is not None and receiver not in known:
                raise typer.BadParameter(
                    f"there is no receiver {receiver!r}; expected one of {', '.join(known)}",
                    param_hint="--receiver",
                )
            count = outbox.retry(receiver, now_microseconds())
        typer.echo(f"{count} failed {'delivery is' if count == 1 else 'deliveries are'} pending again")


def _print_backlog(backlogs: list[Backlog], now: int) -> None:
    rows = []
    for backlog in backlogs:
        oldest_at = backlog.oldest_pending_at
        rows.append(
            (
                backlog.receiver,
                f"{backlog.pending:,}",
                f"{backlog.delivered:,}",
                f"{backlog.failed:,}",
                "-" if oldest_at is None else f"{(now - oldest_at) / MICROSECONDS_PER_SECOND:,.0f} s",
                f"disabled: {backlog.disabled_reason}" if backlog.disabled_reason else "",
            )
        )
    numbers = ("pending", "delivered", "failed", "oldest pending")
    print_table(("receiver", *numbers, ""), rows, align_right=numbers)
