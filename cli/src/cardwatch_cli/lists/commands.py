"""``cardwatch lists``: the lists of values that rules use with ``in list('…')``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_rulebook.lists import Kind, ListBook, ListEntry, checked_name, checked_value
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table

from cardwatch_cli.audit.trail import read_copies
from cardwatch_cli.author import ByOption, CommentOption, author_of_change
from cardwatch_cli.connections import current_connections
from cardwatch_cli.lists.entries import list_entry
from cardwatch_cli.lists.files import list_file_text, read_list_file
from cardwatch_cli.output import counted, iso_time, local_time, print_json
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.text_files import write_text_file

app = typer.Typer(
    help="The lists of values that rules use: `merchant_id in list('trusted-merchants')`. A change takes effect within "
    "a second.\n\nCards are listed by token: a card number is rejected.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Name of a list, as in rules.")]
ValuesArgument = Annotated[list[str], typer.Argument(help="Values, as in transactions.")]
KindOption = Annotated[
    Kind | None,
    typer.Option(
        help="Kind of the values; required for a new list. card: token, 32 hexadecimal digits; bin: 6 to 8 digits; "
        "country: ISO 3166-1 alpha-2; ip: an address; merchant, device: an identifier."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """Show all lists: the number of values, and who changed them last."""
    book = _book()
    rows = []
    for name in book.names():
        latest = max(book.all_entries(name), key=lambda entry: entry.changed_at)
        rows.append((name, book.kind(name), len(book.values(name)), latest))
    if as_json:
        print_json(
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
            [(name, kind, number, local_time(latest.changed_at), latest.who) for name, kind, number, latest in rows],
        )


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show the values of a list: since when, by whom and why."""
    book = _book()
    _kind(book, name, None)
    entries = list(book.entries(name).values())
    if as_json:
        print_json(
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
            [(entry.value, local_time(entry.changed_at), entry.who, entry.comment) for entry in entries],
        )


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="[LIST]", help="Only this list; default: all lists.")] = None,
    value: Annotated[str | None, typer.Option(help="Only the changes of this value.")] = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    as_json: JsonOption = False,
) -> None:
    """Show every change in the order of the topic: when, who, what and why. Removed values are included.

    They come from the audit trail (the table bronze.rule_changes), and those that are newer from the topic.
    """
    settings = load_settings(ServiceSettings)
    with current_connections().open_stores(settings, read_copies(tables_dir, settings)) as stores:
        changes = list(stores.lists.read_changes())
    names = sorted({change.list_name for change in changes})
    if name is not None and name not in names:
        raise CardwatchError(f"list {name} never existed; the lists are {', '.join(names) or '(none)'}")
    wanted = [
        change
        for change in changes
        if (name is None or change.list_name == name) and (value is None or change.value == value)
    ]
    if as_json:
        print_json([{**change.record(), "changed_at": iso_time(change.changed_at)} for change in wanted])
    else:
        print_table(
            ("when", "who", "list", "value", "what", "comment"),
            [
                (
                    local_time(change.changed_at),
                    change.who,
                    change.list_name,
                    change.value,
                    "added" if change.present else "removed",
                    change.comment,
                )
                for change in wanted
            ],
        )


@app.command()
def add(
    name: NameArgument,
    values: ValuesArgument,
    kind: KindOption = None,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Add values to a list. A new list is created with its first value. Values in the list already stay as they are."""
    settings = load_settings(ServiceSettings)
    _write(settings, {name: values}, kind, author_of_change(settings, by, comment))


@app.command()
def remove(
    name: NameArgument,
    values: ValuesArgument,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Remove values from a list. If one of them is not in the list, that is an error and nothing is changed."""
    settings = load_settings(ServiceSettings)
    who = author_of_change(settings, by, comment)
    with current_connections().open_stores(settings) as stores:
        book = stores.lists.read()
        kind = _kind(book, name, None)
        removed = _checked_values(kind, name, values)
        if missing := [value for value in removed if value not in book.values(name)]:
            raise CardwatchError(f"{', '.join(missing)}: not in list {name}, so nothing was changed")
        stores.lists.append([list_entry(name, kind, value, who, present=False) for value in removed])
    typer.echo(f"{name}: {counted(len(removed), 'value')} removed")


@app.command("import")
def import_command(
    file: Annotated[
        Path, typer.Argument(help="YAML (list name → values, as `export` writes it), or one value per line.")
    ],
    name: Annotated[
        str | None, typer.Option("--list", help="The list to import into; required for a file that is not YAML.")
    ] = None,
    kind: KindOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also remove values from these lists that are not in the file.")
    ] = False,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Add the values of a file to lists. All values are checked before anything is written."""
    settings = load_settings(ServiceSettings)
    _write(settings, read_list_file(file, name), kind, author_of_change(settings, by, comment), replace=replace)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="The file to write; default: standard output.")] = None,
    name: Annotated[str | None, typer.Option("--list", help="Only this list.")] = None,
) -> None:
    """Write lists as YAML, list name → values: for a backtest, or for `import` into another system."""
    book = _book()
    if name is not None:
        _kind(book, name, None)
    names = book.names() if name is None else [name]
    text = list_file_text({each: sorted(book.values(each)) for each in names})
    write_text_file(text, file, counted(len(names), "list"))


def _write(
    settings: ServiceSettings,
    lists: Mapping[str, Sequence[str]],
    kind: Kind | None,
    who: Author,
    *,
    replace: bool = False,
) -> None:
    """Add values to lists after all of them were checked."""
    with current_connections().open_stores(settings) as stores:
        book = stores.lists.read()
        entries: list[ListEntry] = []
        reports: list[str] = []
        for name, values in lists.items():
            kind_of_list = _kind(book, checked_name(name), kind, new=True)
            wanted, present = _checked_values(kind_of_list, name, values), book.values(name)
            added = [value for value in wanted if value not in present]
            removed = sorted(present.difference(wanted)) if replace else []
            entries += [list_entry(name, kind_of_list, value, who, present=True) for value in added]
            entries += [list_entry(name, kind_of_list, value, who, present=False) for value in removed]
            known = len(wanted) - len(added)
            reports.append(
                f"{name}: {counted(len(added), 'value')} added"
                + (f", {known} in it already" if known else "")
                + (f", {len(removed)} removed" if replace else "")
            )
        stores.lists.append(entries)
    for report in reports:
        typer.echo(report)


def _kind(book: ListBook, name: str, given: Kind | None, *, new: bool = False) -> Kind:
    """The kind of a list's values.

    Args:
        given: the kind that the command names.
        new: whether the list may be a new one.

    Raises:
        CardwatchError: the list does not exist, its kind is not the given one, or a new list has no kind.
    """
    known = book.kind(name)
    if known is None and not new:
        raise CardwatchError(f"there is no list {name}; the lists are {', '.join(book.names()) or '(none)'}")
    if known is None and given is None:
        raise CardwatchError(f"list {name} is new, expected the kind of its values: --kind {'|'.join(Kind)}")
    if known is not None and given is not None and known is not given:
        raise CardwatchError(f"--kind: expected {known}, the kind of list {name}, got {given}")
    kind = known or given
    assert kind is not None
    return kind


def _checked_values(kind: Kind, name: str, values: Iterable[str]) -> list[str]:
    """The values in the form in which they are stored, each once.

    Raises:
        ConfigurationError: one is wrong. The message has its number, because a card number must not be shown.
    """
    checked: dict[str, None] = {}
    for number, value in enumerate(values, 1):
        try:
            checked[checked_value(kind, value)] = None
        except ConfigurationError as error:
            raise ConfigurationError(f"list {name}, value {number}: {error}; nothing was changed") from error
    return list(checked)


def _book() -> ListBook:
    with current_connections().open_stores(load_settings(ServiceSettings)) as stores:
        return stores.lists.read()
