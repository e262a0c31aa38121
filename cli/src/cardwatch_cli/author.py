"""Who changes rules and lists, and why: options that several commands share."""

import getpass
from typing import Annotated

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rulebook.planning import Author

ByOption = Annotated[
    str | None,
    typer.Option("--by", envvar="CARDWATCH_USER", help="Who makes the change; without it, the login name."),
]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why: one sentence for those who come after.")]


def author(by: str | None, comment: str) -> Author:
    """Who makes the changes of this command, now.

    Raises:
        ConfigurationError: nobody is named, and this machine knows no login name.
    """
    try:
        name = by or getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigurationError("who makes the change? --by NAME or CARDWATCH_USER would say") from error
    return Author(name, comment)
