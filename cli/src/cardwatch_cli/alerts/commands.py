"""``cardwatch alerts``: what analysts say of alerts, and which there are."""

import json
import sys
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
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_rulebook.kafka_log import KafkaLog
from cardwatch_rulebook.messages import refuse_card_numbers
from cardwatch_service.settings import ServiceSettings, load

from cardwatch_cli.alerts.feedback_file import Verdict, read_feedback_file
from cardwatch_cli.author import ByOption, author
from cardwatch_cli.output import counted, print_table
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.tables.query import answer, connected

app = typer.Typer(
    help="Alerts, and what analysts say of them. A label is in gold.alerts some seconds later; the last one holds.",
    no_args_is_help=True,
)

Label = StrEnum("Label", {label.upper(): label for label in ALERT_LABELS})  # type: ignore[misc]
_UNLABELLED: Final = "none"
_UUID_LENGTH: Final = 36

Messages = list[tuple[str, bytes]]


@app.command()
def label(
    alert_ids: Annotated[list[str] | None, typer.Argument(metavar="ALERT_ID", help="One or more alerts.")] = None,
    as_: Annotated[
        Label | None,
        typer.Option("--as", help="What they turned out to be; unclear: looked at, and it cannot be said."),
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Why, for those who come after. No card numbers.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="Labels of many: CSV with the columns alert_id, label and note.")
    ] = None,
    by: ByOption = None,
) -> None:
    """Say what alerts turned out to be: fraud, legitimate or unclear. All are checked before any is written.

    Example: cardwatch alerts label 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90 --as fraud --note "card holder confirms"
    """
    verdicts = _verdicts(alert_ids or [], as_, note, file)
    who = author(by, "")
    records = [_record(verdict, where, who.name, who.at) for where, verdict in verdicts]
    _publish(records)
    typer.echo(f"{counted(len(records), 'alert')} labelled")


@app.command("list")
def list_command(
    tables_dir: TablesDirOption = TABLES_DIR,
    label_: Annotated[
        str | None, typer.Option("--label", help=f"Only those: {', '.join(ALERT_LABELS)}; {_UNLABELLED}: without.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")] = False,
) -> None:
    """Show the newest raised alerts of live rules and what has been said of them, as gold.alerts has them."""
    rows = _listed(tables_dir, label_, limit)
    if as_json:
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=2, default=str)
        typer.echo()
    else:
        columns = ("alert_id", "event_time", "rule_id", "severity", "key", "label", "labelled_by", "label_note")
        print_table(columns, [[_cell(row[name]) for name in columns] for row in rows])


def _verdicts(alert_ids: Sequence[str], as_: Label | None, note: str, file: Path | None) -> list[tuple[str, Verdict]]:
    """What to say, each with where it stands."""
    if file is not None:
        if alert_ids or as_ is not None or note:
            raise ConfigurationError("--file holds alerts, labels and notes itself; nothing else goes with it but --by")
        return [(f"{file}, line {number}: ", verdict) for number, verdict in enumerate(read_feedback_file(file), 2)]
    if not alert_ids:
        raise ConfigurationError("which alerts? their ids, or --file FILE, would say")
    if as_ is None:
        raise ConfigurationError(f"what are they? --as {'|'.join(ALERT_LABELS)} would say")
    return [("", Verdict(alert_id, str(as_), note)) for alert_id in alert_ids]


def _record(verdict: Verdict, where: str, by: str, at: int) -> dict[str, Any]:
    """The record of alert_feedback.avsc.

    Raises:
        ConfigurationError: the id or the label is wrong.
        CardwatchError: a text holds a card number.
    """
    if verdict.label.strip() not in ALERT_LABELS:
        raise ConfigurationError(
            f"{where}`{verdict.label}` is no label: {', '.join(ALERT_LABELS)} would be right; nothing was written"
        )
    record = {
        "alert_id": _checked_id(verdict.alert_id.strip(), where),
        "label": verdict.label.strip(),
        "note": verdict.note,
        "labelled_by": by,
        "labelled_at": at,
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
            f"{where}`{text}` is no alert id: 36 characters like 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90 would be right; "
            "nothing was written"
        )
    return str(found)


def _publish(records: Sequence[dict[str, Any]]) -> None:
    settings = load(ServiceSettings)
    schema = str(ALERTS_FEEDBACK.schema)
    encode = Encoder(schema, settings.registry().id_of(ALERTS_FEEDBACK.subject(settings.topic_prefix), schema))
    log = KafkaLog(settings.kafka_config(), ALERTS_FEEDBACK.name(settings.topic_prefix))
    try:
        log.append([(record["alert_id"], encode(record)) for record in records])
    finally:
        log.close()


def _listed(tables_dir: str, wanted: str | None, limit: int) -> list[dict[str, Any]]:
    if wanted is not None and wanted not in (*ALERT_LABELS, _UNLABELLED):
        raise ConfigurationError(f"`{wanted}` is no label: {', '.join(ALERT_LABELS)}, or {_UNLABELLED}, would be right")
    condition = {None: "true", _UNLABELLED: "label IS NULL"}.get(wanted, f"label = '{wanted}'")
    sql = f"""
        SELECT alert_id, event_time, rule_id, severity, key, label, labelled_by, labelled_at, label_note
        FROM gold.alerts WHERE status = 'raised' AND mode = 'live' AND {condition}
        ORDER BY event_time DESC LIMIT {limit}
    """  # noqa: S608 - one of few known words, and a number
    with connected(Catalog(tables_dir)) as connection:
        rows: list[dict[str, Any]] = answer(connection, sql).to_pylist()
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%SZ}" if hasattr(value, "tzinfo") else str(value)
