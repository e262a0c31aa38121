"""The second approver of rules: ``cardwatch rules approve``, and what other commands say about it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated

import typer
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_rulebook.approvals import Approval, approve, needs_approval
from cardwatch_rulebook.book import Rulebook
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.connect import Stores
from cardwatch_rulebook.planning import Author, Plan
from cardwatch_rulebook.stores import Outcome
from cardwatch_service.settings import ServiceSettings, load_settings

from cardwatch_cli.author import ByOption, CommentOption, author_of_change
from cardwatch_cli.connections import current_connections
from cardwatch_cli.output import echo_text

IdsArgument = Annotated[list[str], typer.Argument(help="Ids of rules, as `cardwatch rules list` shows them.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``cardwatch rules``."""
    app.command("approve")(approve_command)


def checked(plan: Plan, settings: ServiceSettings, who: Author) -> Plan:
    """The plan; where approvals are required, it is refused if nobody could approve its change.

    The plan raises:
        CardwatchError: after the change the rule would be live, and this connection has no Kafka user.
    """
    if not settings.rules_require_approval or who.authenticated:
        return plan

    def make(book: Rulebook) -> Change | None:
        change = plan.make(book)
        if change is not None and needs_approval(change):
            raise CardwatchError(
                f"rule {plan.rule_id} would be live, which another Kafka user has to approve "
                "(CARDWATCH_RULES_REQUIRE_APPROVAL): expected a connection with a Kafka user, so that it is known who "
                "made the change"
            )
        return change

    return replace(plan, make=make)


def note_pending(settings: ServiceSettings, outcomes: Sequence[Outcome]) -> None:
    """Say on standard error which changes wait for an approval."""
    if not settings.rules_require_approval:
        return
    for change in (outcome.change for outcome in outcomes):
        if change is not None and needs_approval(change):
            echo_text(
                f"note: {change.rule_id} stays as it was until another Kafka user approves: "
                f"`cardwatch rules approve {change.rule_id} --revision {change.revision}`",
                err=True,
            )


def pending(settings: ServiceSettings, stores: Stores, changes: Sequence[Change]) -> Collection[str]:
    """The ids of rules whose newest change waits for an approval; none where approvals are not required."""
    if not settings.rules_require_approval:
        return ()
    approvals = stores.approvals.read()
    return {change.rule_id for change in changes if needs_approval(change) and not approvals.is_approved(change)}


def approve_command(
    ids: IdsArgument,
    revision: Annotated[
        int | None, typer.Option(help="Approve only this revision: an error if there is a newer one by now.")
    ] = None,
    comment: CommentOption = "",
    by: ByOption = None,
) -> None:
    """Approve that rules are live as they are now. Only another Kafka user than the one that made the change can.

    With CARDWATCH_RULES_REQUIRE_APPROVAL=true, detectors evaluate a rule as it was before until its newest change is
    approved. Pausing, deleting and shadow mode need no approval. All of the rules are approved, or none.
    """
    if revision is not None and len(ids) > 1:
        raise ConfigurationError("--revision is of one rule; expected one id")
    settings = load_settings(ServiceSettings)
    who = author_of_change(settings, by, comment)
    with current_connections().open_stores(settings) as stores:
        book, approvals = stores.rules.read(), stores.approvals.read()
        made: dict[str, Approval | None] = {}
        for rule_id in dict.fromkeys(ids):
            latest = book.latest(rule_id)
            if latest is not None and revision not in (None, latest.revision):
                raise CardwatchError(
                    f"rule {rule_id} is at revision {latest.revision} by now ({latest.action.value} by {latest.who}); "
                    f"nothing was approved; see `cardwatch rules history {rule_id}`"
                )
            made[rule_id] = approve(latest, approvals, rule_id, who)
        stores.approvals.append([approval for approval in made.values() if approval is not None])
    for rule_id, approval in made.items():
        typer.echo(f"{rule_id} is approved already" if approval is None else _sentence(approval))


def _sentence(approval: Approval) -> str:
    return f"{approval.rule_id} approved (revision {approval.revision})"
