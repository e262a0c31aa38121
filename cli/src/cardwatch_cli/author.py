"""The options ``--by`` and ``--comment`` of commands that change something."""

from typing import Annotated

import typer
from cardwatch_rulebook.planning import Author
from cardwatch_service.settings import ServiceSettings

from cardwatch_cli.connections import current_connections

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        envvar="CARDWATCH_USER",
        help="A name to note beside the Kafka user or login name, which are recorded in any case.",
    ),
]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="The reason in one sentence, for the history.")]


def author_of_change(settings: ServiceSettings, by: str | None, comment: str) -> Author:
    """Who makes a change now, and why.

    Args:
        settings: of the connection; its user counts.
        by: the name that somebody states, which is noted beside it.
    """
    principal = current_connections().principal(settings)
    stated_name = by if by and by != principal.name else ""
    return Author(principal.name, comment, authenticated=principal.authenticated, stated_name=stated_name)
