"""The options ``--by`` and ``--comment`` of commands that change something."""

import getpass
from typing import Annotated

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.planning import Author

ByOption = Annotated[
    str | None,
    typer.Option("--by", envvar="CARDWATCH_USER", help="Who makes the change; without it, the login name."),
]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="The reason in one sentence, for the history.")]


def author_of_change(by: str | None, comment: str) -> Author:
    """Who makes a change now, and why.

    Raises:
        ConfigurationError: no name is given, and this machine has no login name.
    """
    try:
        name = by or getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigurationError("expected the name of who makes the change: --by NAME or CARDWATCH_USER") from error
    return Author(name, comment)
