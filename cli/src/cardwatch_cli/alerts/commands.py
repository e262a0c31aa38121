"""``cardwatch alerts``: labels of analysts, and the newest alerts."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import ALERTS_FEEDBACK
from cardwatch_contracts.values import ALERT_LABELS
from cardwatch_contracts.wire import Encoder
from cardwatch_lakehouse.card_tokens import tokens_of_cards
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_rulebook.messages import refuse_card_numbers
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table

from cardwatch_cli.alerts.feedback_file import AlertFeedback, read_feedback_file
from cardwatch_cli.author import author_of_change
from cardwatch_cli.connections import current_connections
from cardwatch_cli.output import counted, print_json
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.tables.query import open_lake, run_query

app = typer.Typer(
    help="Alerts and their labels. A label is in gold.alerts some seconds later; the last label of an alert counts.",
    no_args_is_help=True,
)

Label = StrEnum("Label", {label.upper(): label for label in ALERT_LABELS})  # type: ignore[misc]
_UNLABELLED: Final = "none"
_UUID_LENGTH: Final = 36
_TOKEN: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


@app.command()
def label(
    alert_ids: Annotated[list[str] | None, typer.Argument(metavar="ALERT_ID", help="One or more alerts.")] = None,
    as_: Annotated[
        Label | None,
        typer.Option("--as", help="The label; unclear: investigated without a result."),
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="The reason. Must not contain card numbers.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="A file of labels: CSV with the columns alert_id, label and note.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", envvar="CARDWATCH_USER", help="Who labels them; without it, the Kafka user or the login name."
        ),
    ] = None,
) -> None:
    """Label alerts as fraud, legitimate or unclear. All are checked before any is written.

    Example: cardwatch alerts label 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90 --as fraud --note "card holder confirms"
    """
    located = _feedback(alert_ids or [], as_, note, file)
    author = author_of_change(load_settings(ServiceSettings), by, "")
    records = [_record(feedback, where, author) for where, feedback in located]
    _publish(records)
    typer.echo(f"{counted(len(records), 'alert')} labelled")


@app.command("list")
def list_command(
    tables_dir: TablesDirOption = TABLES_DIR,
    label_: Annotated[
        str | None,
        typer.Option(
            "--label", help=f"Only alerts with this label: {', '.join(ALERT_LABELS)}; {_UNLABELLED}: without a label."
        ),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(
            "--card", help="Only alerts of the card with this token, under all its tokens (docs/token-keys.md)."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show this many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")] = False,
) -> None:
    """Show the newest raised alerts of live rules with their labels, from gold.alerts."""
    rows = _newest_alerts(tables_dir, label_, card, limit)
    if as_json:
        print_json(rows)
    else:
        columns = ("alert_id", "event_time", "rule_id", "severity", "key", "label", "labelled_by", "label_note")
        print_table(columns, [[_cell(row[name]) for name in columns] for row in rows])


def _feedback(
    alert_ids: Sequence[str], as_: Label | None, note: str, file: Path | None
) -> list[tuple[str, AlertFeedback]]:
    """The labels, each with its file and line for errors; from the command line, with an empty text."""
    if file is not None:
        if alert_ids or as_ is not None or note:
            raise ConfigurationError("--file contains alerts, labels and notes; it can be combined with --by only")
        return [(f"{file}, line {number}: ", feedback) for number, feedback in enumerate(read_feedback_file(file), 2)]
    if not alert_ids:
        raise ConfigurationError("expected the ids of alerts, or --file FILE")
    if as_ is None:
        raise ConfigurationError(f"expected a label: --as {'|'.join(ALERT_LABELS)}")
    return [("", AlertFeedback(alert_id, str(as_), note)) for alert_id in alert_ids]


def _record(feedback: AlertFeedback, where: str, author: Author) -> dict[str, Any]:
    """The record of alert_feedback.avsc.

    Args:
        where: file and line of the label, for errors.

    Raises:
        ConfigurationError: the id or the label is wrong.
        CardwatchError: a text contains a card number.
    """
    if feedback.label.strip() not in ALERT_LABELS:
        raise ConfigurationError(
            f"{where}expected a label ({', '.join(ALERT_LABELS)}), got `{feedback.label}`; nothing was written"
        )
    record = {
        "alert_id": _checked_id(feedback.alert_id.strip(), where),
        "label": feedback.label.strip(),
        "note": feedback.note,
        "labelled_by": author.stated_name or author.name,
        "labelled_at": author.at,
    }
    refuse_card_numbers({name: record[name] for name in ("note", "labelled_by")})
    return record


def _checked_id(text: str, where: str) -> str:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or len(text) != _UUID_LENGTH or found.version != 5:  # as cardwatch_contracts.identity makes them
        raise ConfigurationError(
            f"{where}expected an alert id such as 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90, got `{text}`; "
            "nothing was written"
        )
    return str(found)


def _publish(records: Sequence[dict[str, Any]]) -> None:
    settings = load_settings(ServiceSettings)
    schema = str(ALERTS_FEEDBACK.schema)
    connections = current_connections()
    schema_id = connections.registry(settings).id_of(ALERTS_FEEDBACK.subject(settings.topic_prefix), schema)
    encode = Encoder(schema, schema_id)
    log = connections.open_log(settings.kafka_config(), ALERTS_FEEDBACK.name(settings.topic_prefix))
    try:
        log.append([(record["alert_id"], encode(record)) for record in records])
    finally:
        log.close()


def _newest_alerts(tables_dir: str, wanted: str | None, card: str | None, limit: int) -> list[dict[str, Any]]:
    if wanted is not None and wanted not in (*ALERT_LABELS, _UNLABELLED):
        raise ConfigurationError(f"--label: expected {', '.join(ALERT_LABELS)} or {_UNLABELLED}, got `{wanted}`")
    condition = {None: "true", _UNLABELLED: "label IS NULL"}.get(wanted, f"label = '{wanted}'")
    catalog = Catalog(tables_dir)
    if card is not None:
        if not _TOKEN.fullmatch(card):
            raise ConfigurationError(f"--card: expected a card token, 32 hexadecimal digits, got {card!r}")
        tokens = ", ".join(f"'{token}'" for token in tokens_of_cards(catalog, [card]))
        condition += f" AND card_token IN ({tokens})"
    sql = f"""
        SELECT alert_id, event_time, rule_id, severity, key, label, labelled_by, labelled_at, label_note
        FROM gold.alerts WHERE status = 'raised' AND mode = 'live' AND {condition}
        ORDER BY event_time DESC LIMIT {limit}
    """  # noqa: S608 - one of few known words, hexadecimal digits and a number
    with open_lake(catalog) as connection:
        rows: list[dict[str, Any]] = run_query(connection, sql).to_pylist()
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%SZ}" if hasattr(value, "tzinfo") else str(value)
