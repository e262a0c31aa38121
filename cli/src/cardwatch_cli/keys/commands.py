"""``cardwatch keys``: makes keys for card tokens, and helps to rotate them."""

import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.card_tokens import find_contradictions, pairs_of_tokens
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_rulebook.lists import Kind, ListBook
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.token_settings import RotationSettings
from cardwatch_units.durations import parse_duration

from cardwatch_cli.author import ByOption, CommentOption, author_of_change
from cardwatch_cli.connections import current_connections
from cardwatch_cli.lists.entries import list_entry
from cardwatch_cli.output import counted
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption

_KEY_BYTES: Final = 32

app = typer.Typer(
    help="Keys for card tokens. docs/token-keys.md describes a rotation from its first to its last step.",
    no_args_is_help=True,
)

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="Write the key into this new file, which only you can read, instead of printing it."),
]


@app.command()
def generate(file: FileOption = None) -> None:
    """Make a random key of 256 bits for card tokens and print it in hexadecimal, for CARDWATCH_TOKEN_KEY.

    Give every service that makes tokens (enricher, producer) the same key, and a name of yours for it in
    CARDWATCH_TOKEN_KEY_ID. Keep the key where you keep secrets: without it a card's new token differs from all earlier
    ones, and whoever has it can find out the card number behind a token.
    """
    key = secrets.token_hex(_KEY_BYTES)
    if file is None:
        typer.echo(key)
        return
    write_new_secret(file, f"{key}\n")
    typer.echo(f"wrote a new key to {file}", err=True)


@app.command()
def rotate(
    next_key_id: Annotated[str, typer.Option("--next-key-id", help="A new name, for the next key.")],
    overlap: Annotated[
        str,
        typer.Option(
            help="Time from now to the switch at least: longer than the detector's horizons, and 91d where rules use "
            "profiles. It begins when all enrichers have both keys."
        ),
    ] = "48h",
    file: FileOption = None,
) -> None:
    """Make the next key and print the settings of a rotation; nothing is changed.

    From the day in CARDWATCH_TOKEN_NEXT_FROM on (event time, UTC), the next key's tokens are the cards' tokens. Until
    then they are written beside the present ones, so that every window, suppression and profile reaches across it.
    """
    settings = load_settings(RotationSettings)
    if settings.next_key_id:
        raise ConfigurationError(
            f"a rotation from {settings.key_id} to {settings.next_key_id} is configured already (from "
            f"{settings.next_from}); expected it to be finished before the next one: docs/token-keys.md says how"
        )
    switch = first_day_after(datetime.now(UTC), timedelta(microseconds=parse_duration(overlap)))
    checked = load_settings(RotationSettings, next_key_id=next_key_id, next_from=switch)
    key = secrets.token_hex(_KEY_BYTES)
    if file is None:
        typer.echo(f"CARDWATCH_TOKEN_NEXT_KEY={key}")
    else:
        write_new_secret(file, f"{key}\n")
        typer.echo(f"wrote the next key, for CARDWATCH_TOKEN_NEXT_KEY, to {file}", err=True)
    typer.echo(f"CARDWATCH_TOKEN_NEXT_KEY_ID={checked.next_key_id}")
    typer.echo(f"CARDWATCH_TOKEN_NEXT_FROM={checked.next_from}")


@app.command("translate-lists")
def translate_lists(
    tables_dir: TablesDirOption = TABLES_DIR,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be added.")] = False,
    comment: CommentOption = "rotation of the token key",
    by: ByOption = None,
) -> None:
    """Add the other tokens of the cards on lists, as far as silver.transactions connects them. Repeating it is safe.

    Run it before the switch of a rotation and again until its end: a card gets its other token on a list once it has
    paid while both keys are in use. A token that somebody has removed from a list is not added again, and a card that a
    message connects with another one is left out and named.
    """
    settings = load_settings(ServiceSettings)
    author = author_of_change(settings, by, comment)
    with current_connections().open_stores(settings) as stores:
        book = stores.lists.read()
        others = _other_tokens(Catalog(tables_dir), book)
        entries = [
            list_entry(name, Kind.CARD, token, author, present=True)
            for name, values in _card_lists(book)
            for token in sorted(
                {other for value in values for other in others.get(value, ())} - _ever_listed(book, name)
            )
        ]
        if not dry_run:
            stores.lists.append(entries)
    for name, values in _card_lists(book):
        added = sum(entry.list_name == name for entry in entries)
        single = sum(not others.get(value) for value in values)
        verb = "would be added" if dry_run else "added"
        typer.echo(f"{name}: {counted(added, 'token')} {verb}; {counted(single, 'card')} without another token yet")


def first_day_after(now: datetime, overlap: timedelta) -> date:
    """The first day (UTC) that begins no earlier than the overlap from now."""
    end = now.astimezone(UTC) + overlap
    return (
        end.date() if end == datetime.combine(end.date(), datetime.min.time(), UTC) else end.date() + timedelta(days=1)
    )


def _ever_listed(book: ListBook, name: str) -> set[str]:
    return {entry.value for entry in book.all_entries(name)}


def _card_lists(book: ListBook) -> Iterator[tuple[str, frozenset[str]]]:
    for name in book.names():
        if book.kind(name) is Kind.CARD:
            yield name, frozenset(book.values(name))


def _other_tokens(catalog: Catalog, book: ListBook) -> Mapping[str, set[str]]:
    listed = {value for _, values in _card_lists(book) for value in values}
    others: dict[str, set[str]] = {}
    for one, other in pairs_of_tokens(catalog, listed) if listed else ():
        others.setdefault(one, set()).add(other)
        others.setdefault(other, set()).add(one)
    cards = {token: others[token] for token in sorted(listed.intersection(others))}
    for card, why in find_contradictions(catalog, cards).items():
        typer.echo(f"not translated: {why}", err=True)
        del others[card]
    return others


def write_new_secret(path: Path, text: str) -> None:
    """Write a file that only this user can read.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists, and a key that is overwritten is lost for good; expected the name of a new file"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
