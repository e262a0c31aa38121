"""``cardwatch lists``: the lists that rules look into with ``in list('…')``."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_rulebook.connect import open_stores
from cardwatch_rulebook.lists import Kind, ListBook, ListEntry, checked_name, checked_value
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings, load

from cardwatch_cli.author import ByOption, CommentOption, author
from cardwatch_cli.lists.files import list_file_text, read_list_file
from cardwatch_cli.output import counted, iso_time, local_time, print_table, write_text

app = typer.Typer(
    help="The lists that rules look into: `merchant_id in list('trusted-merchants')`. A change is in effect within a "
    "second.\n\nA card is named by its token, never by its number: whatever is a card number is refused.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Name of a list, as rules call it.")]
ValuesArgument = Annotated[list[str], typer.Argument(help="Values, as transactions carry them.")]
KindOption = Annotated[
    Kind | None,
    typer.Option(
        help="What the values are; needed for a new list. card: token, 32 hexadecimal digits; bin: 6 to 8 digits; "
        "country: ISO 3166-1 alpha-2; ip: an address; merchant, device: an identifier."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """Show which lists there are: how many values each holds, and who changed it last."""
    book = _book()
    rows = []
    for name in book.names():
        latest = max(book.all_entries(name), key=lambda entry: entry.changed_at)
        rows.append((name, book.kind(name), len(book.values(name)), latest))
    if as_json:
        _print_json(
            [
                {
                    "name": name,
                    "kind": kind,
                    "values": number,
                    "changed_at": iso_time(latest.changed_at),
                    "changed_by": latest.changed_by,
                }
                for name, kind, number, latest in rows
            ]
        )
    else:
        print_table(
            ("list", "kind", "values", "last change", "by"),
            [
                (name, kind, number, local_time(latest.changed_at), latest.changed_by)
                for name, kind, number, latest in rows
            ],
        )


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show the values of a list: since when, by whom and why."""
    book = _book()
    _kind(book, name, None)
    entries = list(book.entries(name).values())
    if as_json:
        _print_json(
            [
                {
                    "value": entry.value,
                    "kind": entry.kind,
                    "comment": entry.comment,
                    "changed_at": iso_time(entry.changed_at),
                    "changed_by": entry.changed_by,
                }
                for entry in entries
            ]
        )
    else:
        print_table(
            ("value", "since", "by", "comment"),
            [(entry.value, local_time(entry.changed_at), entry.changed_by, entry.comment) for entry in entries],
        )


@app.command()
def add(
    name: NameArgument,
    values: ValuesArgument,
    kind: KindOption = None,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Put values into a list; it comes into being with its first one. What is in it already stays as it is."""
    _write({name: values}, kind, author(by, comment))


@app.command()
def remove(
    name: NameArgument,
    values: ValuesArgument,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Take values out of a list. One that is not in it is an error, and nothing is changed."""
    who = author(by, comment)
    with open_stores(load(ServiceSettings)) as stores:
        book = stores.lists.read()
        kind = _kind(book, name, None)
        gone = _checked(kind, name, values)
        if missing := [value for value in gone if value not in book.values(name)]:
            raise CardwatchError(f"{', '.join(missing)}: not in list {name}, so nothing was changed")
        stores.lists.append([_entry(name, kind, value, who, present=False) for value in gone])
    typer.echo(f"{name}: {counted(len(gone), 'value')} removed")


@app.command("import")
def import_command(
    file: Annotated[
        Path, typer.Argument(help="YAML (list name → values, as `export` writes it), or one value a line.")
    ],
    name: Annotated[str | None, typer.Option("--list", help="Whose values they are; needed for a plain file.")] = None,
    kind: KindOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also remove what is in these lists and not in the file.")
    ] = False,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Put the values of a file into lists. All values are checked before anything is written."""
    _write(read_list_file(file, name), kind, author(by, comment), replace=replace)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; without it, standard output.")] = None,
    name: Annotated[str | None, typer.Option("--list", help="Only this list.")] = None,
) -> None:
    """Write lists as YAML, list name → values: for a backtest, or for `import` into another system."""
    book = _book()
    if name is not None:
        _kind(book, name, None)
    names = book.names() if name is None else [name]
    text = list_file_text({each: sorted(book.values(each)) for each in names})
    write_text(text, file, counted(len(names), "list"))


def _write(lists: Mapping[str, Sequence[str]], kind: Kind | None, who: Author, *, replace: bool = False) -> None:
    """Put values into lists, all of them checked first."""
    with open_stores(load(ServiceSettings)) as stores:
        book = stores.lists.read()
        entries: list[ListEntry] = []
        said: list[str] = []
        for name, values in lists.items():
            kind_of_list = _kind(book, checked_name(name), kind, new=True)
            wanted, there = _checked(kind_of_list, name, values), book.values(name)
            added = [value for value in wanted if value not in there]
            removed = sorted(there.difference(wanted)) if replace else []
            entries += [_entry(name, kind_of_list, value, who, present=True) for value in added]
            entries += [_entry(name, kind_of_list, value, who, present=False) for value in removed]
            known = len(wanted) - len(added)
            said.append(
                f"{name}: {counted(len(added), 'value')} added"
                + (f", {known} in it already" if known else "")
                + (f", {len(removed)} removed" if replace else "")
            )
        stores.lists.append(entries)
    for line in said:
        typer.echo(line)


def _kind(book: ListBook, name: str, given: Kind | None, *, new: bool = False) -> Kind:
    """What the values of a list are.

    Raises:
        CardwatchError: there is no such list and it is not to be a new one, or its kind is another one.
    """
    known = book.kind(name)
    if known is None and not new:
        raise CardwatchError(f"there is no list {name}; there are {', '.join(book.names()) or 'none at all'}")
    if known is None and given is None:
        raise CardwatchError(f"list {name} is new: what are its values? --kind {'|'.join(Kind)} would say")
    if known is not None and given is not None and known is not given:
        raise CardwatchError(f"list {name} holds values of the kind {known}, not {given}")
    kind = known or given
    assert kind is not None
    return kind


def _checked(kind: Kind, name: str, values: Iterable[str]) -> list[str]:
    """The values as they are kept, each once.

    Raises:
        ConfigurationError: one is wrong; says which by its number, because a value may be one that must not be shown.
    """
    checked: dict[str, None] = {}
    for number, value in enumerate(values, 1):
        try:
            checked[checked_value(kind, value)] = None
        except ConfigurationError as error:
            raise ConfigurationError(f"list {name}, value {number}: {error}; nothing was changed") from error
    return list(checked)


def _entry(name: str, kind: Kind, value: str, who: Author, *, present: bool) -> ListEntry:
    return ListEntry(name, kind, value, present, who.comment, who.name, who.at)


def _book() -> ListBook:
    with open_stores(load(ServiceSettings)) as stores:
        return stores.lists.read()


def _print_json(document: object) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    typer.echo()
