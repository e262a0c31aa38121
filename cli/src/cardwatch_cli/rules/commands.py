"""``cardwatch rules``: changes of rules while the system runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_rulebook import planning
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Action, Change
from cardwatch_rulebook.definitions import export_text, rule_text
from cardwatch_rulebook.planning import Author, Plan
from cardwatch_rulebook.stores import Outcome
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_rules.model import Mode
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table

from cardwatch_cli.audit.trail import read_copies
from cardwatch_cli.author import ByOption, CommentOption, author_of_change
from cardwatch_cli.connections import current_connections
from cardwatch_cli.output import counted, echo_file, echo_text, local_time, print_json
from cardwatch_cli.rules import approval, view
from cardwatch_cli.rules.files import RuleFile, horizons, read_rule_files
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.text_files import write_text_file

_INVALID_EXIT_CODE: Final = 1

app = typer.Typer(
    help="The rules of a running system. Every change takes effect within a second, and is kept with who made it, when "
    "and why.\n\nBroker and registry: CARDWATCH_KAFKA_BOOTSTRAP_SERVERS, CARDWATCH_SCHEMA_REGISTRY_URL. docs/rules.md "
    "says how a rule is written, docs/live-rules.md how to work with these commands.",
    no_args_is_help=True,
)
approval.register(app)

FilesArgument = Annotated[list[Path], typer.Argument(help="Rule files (YAML), or directories of them.")]
HorizonOption = Annotated[
    list[str] | None,
    typer.Option(
        "--horizon",
        metavar="SCOPE=LENGTH",
        help="How far back the detector keeps a scope, such as card=30h; a rule that needs more is an error. Once per "
        "scope; default: CARDWATCH_DETECTOR_HORIZON_<SCOPE>; if that is not set, only the detector checks it.",
    ),
]
IdsArgument = approval.IdsArgument
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")]


@app.command()
def validate(files: FilesArgument, horizon: HorizonOption = None) -> None:
    """Check rule files. Needs no broker and changes nothing.

    Each mistake is reported with file, line and rule; exit code 1 if there is any.
    """
    found, problems = read_rule_files(files, horizons(horizon or ()))
    for file in found:
        typer.echo(f"{file.path}: {counted(len(file.definitions), 'rule')}, valid")
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems:
        raise typer.Exit(_INVALID_EXIT_CODE)


@app.command("apply")
def apply_command(
    files: FilesArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    comment: CommentOption = "",
    by: ByOption = None,
    horizon: HorizonOption = None,
) -> None:
    """Change the rules to what files define. Rules that are in none of the files stay as they are.

    All files are checked before anything is written. A rule's version is counted up when its definition changes; a
    higher `version` in the file is used as it is. Without `mode` in the file a rule keeps its mode, and a new rule is
    live: write `mode: shadow` to try it first. Applying the same again changes nothing.
    """
    definitions = [item for file in _valid_files(files, horizons(horizon or ())) for item in file.definitions]
    settings = load_settings(ServiceSettings)
    who = author_of_change(settings, by, comment)
    plans = [approval.checked(planning.apply(definition, who), settings, who) for definition in definitions]
    with current_connections().open_stores(settings) as stores:
        outcomes = _dry_run(stores.rules.read(), plans) if dry_run else stores.rules.carry_out(plans)
    print_table(
        view.OUTCOME_COLUMNS,
        [
            view.outcome_row(plan.rule_id, outcome)
            for plan, outcome in sorted(zip(plans, outcomes, strict=True), key=lambda pair: pair[0].rule_id)
        ],
    )
    _report_overtaken(outcomes)
    approval.note_pending(settings, outcomes)
    if dry_run:
        typer.echo("Nothing was changed.", err=True)


@app.command("list")
def list_command(
    scope: Annotated[str | None, typer.Option(help=f"Only rules of a scope: {', '.join(SCOPE_KEYS)}.")] = None,
    mode: Annotated[Mode | None, typer.Option(help="Only rules in a mode.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rules, and the state that each detector reports for them.

    The state of a rule is active, paused, or set aside with the reason why the detector cannot evaluate it. "Still at
    revision …" means that the detector has not reported the newest change yet.
    """
    if scope is not None and scope not in SCOPE_KEYS:
        raise ConfigurationError(f"--scope: expected one of {', '.join(SCOPE_KEYS)}, got `{scope}`")
    settings = load_settings(ServiceSettings)
    with current_connections().open_stores(settings) as stores:
        changes = [
            change
            for change in stores.rules.read().current()
            if (scope is None or change.scope == scope) and (mode is None or change.mode is mode)
        ]
        statuses = stores.statuses.read()
        pending = approval.pending(settings, stores, changes)
    if as_json:
        print_json([view.list_json(change, statuses.get(change.rule_id, {}), pending) for change in changes])
    else:
        rows = [view.list_row(change, statuses.get(change.rule_id, {}), pending) for change in changes]
        print_table(view.LIST_COLUMNS, rows, with_lines=view.COLUMNS_WITH_LINES)


@app.command()
def show(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a rule, deleted ones included.")],
    version: Annotated[int | None, typer.Option(help="Show this version instead of the newest.")] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Only the definition, as a rule file to edit and apply.")
    ] = False,
) -> None:
    """Show one rule: its definition, its state, and who changed it last.

    With --yaml the definition has neither version nor mode: applied again, the rule gets the next version and keeps its
    mode. So `show ID --version 3 --yaml > old.yaml` and `apply old.yaml` go back to version 3.
    """
    with current_connections().open_stores(load_settings(ServiceSettings)) as stores:
        book = stores.rules.read()
        statuses = stores.statuses.read().get(rule_id, {})
    change = _latest_change(book, rule_id) if version is None else _change_in_version(book, rule_id, version)
    if as_yaml:
        echo_file(rule_text(change))
        return
    newest = change == book.latest(rule_id)
    facts = {
        "rule": rule_id,
        "version": f"{change.version}, revision {change.revision}{'' if newest else ' (not the newest)'}",
        "mode": "deleted" if change.deletes else change.mode.value,
        "changed": f"{local_time(change.changed_at)} by {change.who}: {change.action.value}"
        + (f" ({change.comment})" if change.comment else ""),
    }
    if newest and not change.deletes:
        facts["state"] = view.state_text(change, statuses).replace("\n", "\n" + " " * 10)
    for name, fact in facts.items():
        echo_text(f"{name:<9} {fact}")
    echo_text(f"\n{change.definition}", end="")


@app.command()
def pause(ids: IdsArgument, comment: CommentOption = "", by: ByOption = None) -> None:
    """Stop evaluating rules. Their definitions and history stay."""
    _change_modes(planning.pause, ids, comment=comment, by=by, unchanged="is paused already")


@app.command()
def resume(ids: IdsArgument, comment: CommentOption = "", by: ByOption = None) -> None:
    """Evaluate paused rules again, in the mode that they had before (live, if they never had another)."""
    _change_modes(planning.resume, ids, comment=comment, by=by, unchanged="is not paused")


@app.command()
def promote(ids: IdsArgument, comment: CommentOption = "", by: ByOption = None) -> None:
    """Make shadow rules live: from now on their alerts are notified. Their version stays."""
    _change_modes(planning.promote, ids, comment=comment, by=by, unchanged="is live already")


@app.command()
def delete(
    ids: IdsArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Delete rules. Their history stays, and a rule that is applied again continues the numbers of its versions."""
    if not yes:
        typer.confirm(f"Delete {', '.join(ids)}?", abort=True)
    _change_modes(planning.delete, ids, comment=comment, by=by, unchanged="")


@app.command()
def history(
    rule_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this rule; default: all rules.")] = None,
    tables_dir: TablesDirOption = TABLES_DIR,
    as_json: JsonOption = False,
) -> None:
    """Show every change: when, who, what and why. Changes of deleted rules are included.

    They come from the audit trail (the table bronze.rule_changes), and those that are newer from the topic. The JSON
    also has the definition after each change.
    """
    settings = load_settings(ServiceSettings)
    with current_connections().open_stores(settings, read_copies(tables_dir, settings)) as stores:
        book = stores.rules.read()
        approvals = stores.approvals.read()
    ids = book.ids() if rule_id is None else [_latest_change(book, rule_id).rule_id]
    for each in ids:
        if missing := book.missing(each):
            revisions = ", ".join(map(str, missing))
            echo_text(f"note: of rule {each}, these revisions are missing everywhere: {revisions}", err=True)
    changes = view.changes_of(book, ids)
    if as_json:
        print_json([view.history_json(change, before, approvals.of(change)) for change, before in changes])
    else:
        rows = [view.history_row(change, before, approvals.of(change)) for change, before in changes]
        print_table(view.HISTORY_COLUMNS, rows)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="The file to write; default: standard output.")] = None,
) -> None:
    """Write all rules, with their versions and modes, as one rule file: for a backtest, a review or another system."""
    with current_connections().open_stores(load_settings(ServiceSettings)) as stores:
        changes = list(stores.rules.read().current())
    text = export_text(changes)
    write_text_file(text, file, counted(len(changes), "rule"))


def _valid_files(paths: Sequence[Path], horizons_us: dict[str, int]) -> list[RuleFile]:
    """The rule files.

    Raises:
        ConfigurationError: a file is wrong; the message lists all mistakes.
    """
    files, problems = read_rule_files(paths, horizons_us)
    if problems:
        raise ConfigurationError("\nerror: ".join(problems))
    return files


def _dry_run(book: Rulebook, plans: Sequence[Plan]) -> list[Outcome]:
    return [Outcome(book.latest(plan.rule_id), plan.make(book)) for plan in plans]


def _change_modes(
    make_plan: Callable[[str, Author], Plan], ids: Sequence[str], *, comment: str, by: str | None, unchanged: str
) -> None:
    settings = load_settings(ServiceSettings)
    who = author_of_change(settings, by, comment)
    plans = [approval.checked(make_plan(rule_id, who), settings, who) for rule_id in dict.fromkeys(ids)]
    with current_connections().open_stores(settings) as stores:
        outcomes = stores.rules.carry_out(plans)
    for plan, outcome in zip(plans, outcomes, strict=True):
        change = outcome.change
        if change is None:
            typer.echo(f"{plan.rule_id} {unchanged}")
        else:
            now = f", now {change.mode.value}" if change.action is Action.RESUMED else ""
            typer.echo(f"{plan.rule_id} {change.action.value}{now} (revision {change.revision})")
    _report_overtaken(outcomes)
    approval.note_pending(settings, outcomes)


def _report_overtaken(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        for other in outcome.overtaken_by:
            echo_text(
                f"note: {other.who} changed {other.rule_id} at the same time (revision {other.revision}, "
                f"{other.action.value}); see `cardwatch rules history {other.rule_id}`",
                err=True,
            )


def _latest_change(book: Rulebook, rule_id: str) -> Change:
    change = book.latest(rule_id)
    if change is None:
        raise CardwatchError(f"rule {rule_id} never existed; `cardwatch rules list` shows all rules")
    return change


def _change_in_version(book: Rulebook, rule_id: str, version: int) -> Change:
    versions = sorted({change.version for change in book.history(_latest_change(book, rule_id).rule_id)})
    change = book.version(rule_id, version)
    if change is None:
        raise CardwatchError(f"rule {rule_id} has no version {version}; it has {', '.join(map(str, versions))}")
    return change
