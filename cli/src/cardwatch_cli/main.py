"""The ``cardwatch`` command. Each group of sub-commands is a module of its own and is named here.

A module is imported when its command is asked for: `cardwatch platform up` with a platform that runs answers at once,
and does not wait for what the demo needs.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import typer
from cardwatch_service.commands import needs, one_sentence_errors
from typer.core import TyperGroup

from cardwatch_cli.interruption import ends_by_signal

# command → where it is, ``module:attribute``: a Typer application with sub-commands, or a function.
COMMANDS: Final[Mapping[str, str]] = {
    "platform": "cardwatch_cli.platform.commands:app",
    "schemas": "cardwatch_cli.schemas.commands:app",
    "rules": "cardwatch_cli.rules.commands:app",
    "lists": "cardwatch_cli.lists.commands:app",
    "demo": "cardwatch_cli.demo.command:demo",
    "alerts": "cardwatch_cli.alerts.commands:app",
    "tables": "cardwatch_cli.tables.commands:app",
    "backtest": "cardwatch_cli.backtest.command:backtest_command",
    "webhook": "cardwatch_cli.webhook.command:webhook",
}
# Those that need the extra `demo`; where it is not installed they are not on offer.
_DEMO: Final = frozenset({"platform", "demo"})


class _Cardwatch(TyperGroup):
    """Knows its commands by name and imports one when it is used (all of them for ``--help``).

    Whatever the command: what a person can act on is one sentence on standard error and exit code 1, and Ctrl-C,
    SIGTERM or SIGHUP ends it cleanly. A command finds the ``Interruption`` as its context's object.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with one_sentence_errors():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with ends_by_signal() as ctx.obj:
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        there = find_spec("cardwatch_platform") is not None
        return [name for name in COMMANDS if there or name not in _DEMO]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in COMMANDS else None


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    with needs("cardwatch-cli[demo]") if name in _DEMO else nullcontext():
        found: typer.Typer | Callable[..., None] = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    name="cardwatch",
    cls=_Cardwatch,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _cardwatch() -> None:
    """Card velocity alerts within a second: run the platform, apply contracts, see it work."""


if __name__ == "__main__":
    app()
