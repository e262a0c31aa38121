"""Looks up the schemas of Avro messages: caches the registry's answers, and translates its failures."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_contracts.registry import Registry

T = TypeVar("T")

_FORGET_SECONDS: Final = 5.0
_MAX_UNKNOWN_IDS: Final = 1000


class CachedRegistry:
    """A registry that is not asked again for five seconds about an id that it does not know.

    Without it, a producer of garbage would cost one HTTP request per message and delay everybody else's.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry: Final = registry
        self._clock: Final = clock
        self._unknown_until: Final[dict[int, float]] = {}

    def schema_by_id(self, schema_id: int) -> str | None:
        """The schema with this id, None if there is none.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        if self._unknown_until.get(schema_id, 0.0) > self._clock():
            return None
        text = _ask(lambda: self._registry.schema_by_id(schema_id))
        if text is None:
            if len(self._unknown_until) >= _MAX_UNKNOWN_IDS:
                self._unknown_until.clear()
            self._unknown_until[schema_id] = self._clock() + _FORGET_SECONDS
        return text

    def id_of(self, subject: str, schema_name: str) -> int:
        """The id that a schema is registered with.

        Raises:
            IncompatibleSchemaError: it is not registered.
            RegistryUnavailableError: the registry does not answer.
        """
        return _ask(lambda: self._registry.id_of(subject, schema_name))


def _ask(call: Callable[[], T]) -> T:
    try:
        return call()
    except CardwatchError:
        raise
    except Exception as error:
        # No exception of the client says anything about the message, so the message must not be refused for it.
        raise RegistryUnavailableError(f"the schema registry cannot be asked: {error!r}") from error
