"""How a command runs: what it writes is private, and known errors become one sentence and exit code 1."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cardwatch_card_numbers.masking import mask_text
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_units.file_modes import private_files

from cardwatch_service.printable import escape_control_characters


@contextmanager
def exit_with_error_message() -> Iterator[None]:
    """Print a CardwatchError as one sentence and exit with code 1; any other exception stays a stack trace.

    A sentence may quote what a file or a message holds: card numbers in it are masked.

    Every command runs in it, so it is also where the umask is set (``cardwatch_units.file_modes``).
    """
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(private_files())
            except ValueError as error:
                raise ConfigurationError(str(error)) from error
            yield
    except CardwatchError as error:
        print(f"error: {escape_control_characters(mask_text(str(error)), keep_newlines=True)}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """For the imports of a command that needs more than its package installs by default.

    Args:
        extra: what to install, as an argument of pip: ``cardwatch-enricher[bronze]``.

    Raises:
        ConfigurationError: a module is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this command needs the module {error.name}, which is not installed; install {extra}"
        ) from error
