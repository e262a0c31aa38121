"""How a command ends: known errors become one sentence on standard error and exit code 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cardwatch_contracts.errors import CardwatchError


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn a CardwatchError into its sentence and exit code 1; anything else stays a stack trace."""
    try:
        yield
    except CardwatchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
