"""Decoding ``transactions.raw.v1``: Avro by the schema id in its frame."""

import time
from collections.abc import Callable
from typing import Final

from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.wire import Decoder, Record

_FORGET_SECONDS: Final = 5.0
_MOST_REMEMBERED: Final = 1000


class AvroTransactions:
    """Decodes a raw message into a record of ``transaction.avsc``."""

    def __init__(self, registry: Registry) -> None:
        self._decode: Final = Decoder("transaction", registry)

    def __call__(self, value: bytes | None) -> Record:
        """Decode one message's value.

        Raises:
            RefusedError: the message is bad, with its reason code.
            RegistryUnavailableError: its schema cannot be looked up now: try again.
        """
        return self._decode(value)


class RememberingRegistry:
    """A registry that is not asked again at once for an id that it does not know, and whose every failure is one kind.

    Without it, a producer that sends garbage would cost one HTTP request a message and hold everybody up.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._unknown_until: dict[int, float] = {}

    def schema_by_id(self, schema_id: int) -> str | None:
        if self._unknown_until.get(schema_id, 0.0) > self._clock():
            return None
        try:
            text = self._registry.schema_by_id(schema_id)
        except CardwatchError:
            raise
        except Exception as error:
            # Whatever a client raises says nothing about the message: it must not be refused for that.
            raise RegistryUnavailableError(f"the schema registry cannot be asked: {error!r}") from error
        if text is None:
            if len(self._unknown_until) >= _MOST_REMEMBERED:
                self._unknown_until.clear()
            self._unknown_until[schema_id] = self._clock() + _FORGET_SECONDS
        return text

    def id_of(self, subject: str, schema_name: str) -> int:
        try:
            return self._registry.id_of(subject, schema_name)
        except CardwatchError:
            raise
        except Exception as error:
            raise RegistryUnavailableError(f"the schema registry cannot be asked: {error!r}") from error
