"""The context of the running command. This module imports nothing that is slow to load."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cardwatch_cli.interruption import Interruption

if TYPE_CHECKING:
    from cardwatch_cli.connections import Connections


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What the running command was started with.

    Attributes:
        interruption: whether a signal has asked the command to end.
        connections: how the command reaches broker and registry; None for the real ones.
    """

    interruption: Interruption
    connections: "Connections | None" = None


_current: Final = ContextVar[CommandContext]("command context")


@contextmanager
def command_context(context: CommandContext) -> Iterator[None]:
    """Within it ``current_context`` returns this context."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def current_context() -> CommandContext:
    """The context of the command that is running.

    Raises:
        LookupError: no command is running.
    """
    return _current.get()
