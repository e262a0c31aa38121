"""The exceptions that Cardwatch raises on purpose.

CardwatchError                  one sentence for a person; commands print it and exit 1
├── ConfigurationError          a setting, rule or mapping file has an error
├── PlatformError               the embedded platform cannot start, download or stop
├── RegistryUnavailableError    the schema registry does not answer: try again, refuse nothing
├── IncompatibleSchemaError     the registry refuses a schema change
└── RefusedError                one message is bad: it goes to the dead letters with .reason
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cardwatch_contracts.reasons import Reason


class CardwatchError(Exception):
    """Something a person can act on. ``str(error)`` is a sentence: what was expected, what was found and what to do."""


class ConfigurationError(CardwatchError):
    """A setting or a file that configures Cardwatch has an error."""


@contextmanager
def configuration_errors(where: str) -> Iterator[None]:
    """Raise a ``ValueError`` from the block as a ``ConfigurationError`` that says where the value comes from.

    Args:
        where: the option, variable or file that the value comes from.
    """
    try:
        yield
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error


class PlatformError(CardwatchError):
    """The embedded platform could not do what was asked."""


class RegistryUnavailableError(CardwatchError):
    """The schema registry did not answer. Nothing is known about the current message: retry, never refuse it."""


class IncompatibleSchemaError(CardwatchError):
    """The registry refuses a schema because it would break readers or writers of an earlier version."""


class RefusedError(CardwatchError):
    """One message is bad.

    Attributes:
        reason: the code under which it is counted and kept.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
