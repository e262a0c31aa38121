"""The ``cardwatch`` command, and the modules of its sub-commands.

A module is imported when its command is used: `cardwatch platform up` on a platform that runs already answers at once,
without loading what the demo needs.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import typer
from cardwatch_service.commands import exit_with_error_message, require_extra
from typer.core import TyperGroup

from cardwatch_cli.context import CommandContext, command_context
from cardwatch_cli.interruption import ends_by_signal

# Command → its ``module:attribute``: a Typer application with sub-commands, or a function.
COMMANDS: Final[Mapping[str, str]] = {
    "platform": "cardwatch_cli.platform.commands:app",
    "schemas": "cardwatch_cli.schemas.commands:app",
    "rules": "cardwatch_cli.rules.commands:app",
    "lists": "cardwatch_cli.lists.commands:app",
    "audit": "cardwatch_cli.audit.commands:app",
    "keys": "cardwatch_cli.keys.commands:app",
    "demo": "cardwatch_cli.demo.command:demo",
    "alerts": "cardwatch_cli.alerts.commands:app",
    "tables": "cardwatch_cli.tables.commands:app",
    "backtest": "cardwatch_cli.backtest.command:backtest_command",
    "webhook": "cardwatch_cli.webhook.command:webhook",
}
# Commands that need the extra `demo`; they are not offered if it is not installed.
_DEMO: Final = frozenset({"platform", "demo"})


class _Cardwatch(TyperGroup):
    """Knows its commands by name and imports one when it is used (all of them for ``--help``).

    Every command reports errors that a person can act on as one sentence on standard error with exit code 1, ends
    cleanly with Ctrl-C, SIGTERM or SIGHUP, and runs in a ``CommandContext``.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with exit_with_error_message():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with ends_by_signal() as interruption, command_context(CommandContext(interruption, connections=ctx.obj)):
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        has_platform = find_spec("cardwatch_platform") is not None
        return [name for name in COMMANDS if has_platform or name not in _DEMO]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in COMMANDS else None


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    with require_extra("cardwatch-cli[demo]") if name in _DEMO else nullcontext():
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
    """Card velocity alerts within seconds: run the platform, manage rules and lists, query the tables."""


if __name__ == "__main__":
    app()
