"""Records to and from messages. A message that cannot be read is skipped and counted: it stops no reader."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from cardwatch_card_numbers.scanner import holds_card_number
from cardwatch_contracts.errors import CardwatchError, RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_kafka.dead_letters import describe_internal_error
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_service import logs

T = TypeVar("T")

log = logs.get_logger(__name__)


class Item(Protocol):
    """A value that can be published: it has a key and a record."""

    @property
    def key(self) -> str:
        """The message's key."""

    def record(self) -> Record:
        """The record of its schema."""


class LookUp(Protocol):
    """Asks for the schema ids of a batch at once, before its messages are decoded: ``Decoder.look_up``."""

    def __call__(
        self, values: Iterable[bytes | None], *, suspect_outage: bool = True, written_before: float = float("inf")
    ) -> None: ...


def _look_nothing_up(
    values: Iterable[bytes | None], *, suspect_outage: bool = True, written_before: float = float("inf")
) -> None:
    """For decoders that ask for each id when they meet it."""


OnRefused = Callable[[Reason], None]
"""Called for each message that was skipped, with the reason: for a metric."""


class Reader(Generic[T]):
    """Turns messages of one topic into items."""

    def __init__(
        self,
        decode: Callable[[bytes | None], Record],
        from_record: Callable[[Record], T],
        on_refused: OnRefused = lambda reason: None,
        look_up: LookUp = _look_nothing_up,
    ) -> None:
        """
        Args:
            decode: raises RefusedError for a bad message, RegistryUnavailableError where it has to be retried.
            from_record: raises ValueError for a record with impossible values.
            look_up: called by ``read`` with each batch.
        """
        self._decode: Final = decode
        self._from_record: Final = from_record
        self._on_refused: Final = on_refused
        self._look_up: Final = look_up
        self.skipped = 0
        """How many messages could not be read."""

    def __call__(self, message: ReceivedMessage) -> T | None:
        """The item, None for a message that cannot be read.

        Raises:
            RegistryUnavailableError: its schema cannot be looked up now: try again.
        """
        try:
            return self._from_record(self._decode(message.value))
        except RegistryUnavailableError:
            raise
        except RefusedError as error:
            self._skip(message, error.reason, str(error))
        except ValueError as error:
            self._skip(message, Reason.WRONG_TYPE, str(error))
        except Exception as error:  # noqa: BLE001  # an internal error must not stop the follower of all rules
            (error_type, where) = describe_internal_error(error)
            self._skip(message, Reason.INTERNAL_ERROR, f"reading it raised {error_type}:\n{where}")
        return None

    def read(self, batches: Iterable[Sequence[ReceivedMessage]]) -> Iterator[T]:
        """The items of messages that are all there when the first batch comes, in their order.

        However many schema ids are unknown, the registry is asked for them once: nobody waits for it per message.

        Raises:
            RegistryUnavailableError: their schemas cannot be looked up now: try again.
        """
        all_there_at: float | None = None
        for batch in batches:
            all_there_at = time.monotonic() if all_there_at is None else all_there_at
            # No outage is suspected, because nobody waits for its end: what cannot be read is skipped, and logged.
            self._look_up((message.value for message in batch), suspect_outage=False, written_before=all_there_at)
            for message in batch:
                item = self(message)
                if item is not None:
                    yield item

    def _skip(self, message: ReceivedMessage, reason: Reason, why: str) -> None:
        self.skipped += 1
        self._on_refused(reason)
        log.warning("message skipped", topic=message.topic, offset=message.offset, reason=reason.value, why=why)


class Writer:
    """Turns items into messages."""

    def __init__(self, encode: Callable[[Record], bytes]) -> None:
        self._encode: Final = encode

    def __call__(self, item: Item) -> tuple[str, bytes]:
        """Key and value.

        Raises:
            CardwatchError: a text in it is a card number, which no topic may hold.
        """
        record = item.record()
        refuse_card_numbers(record)
        return item.key, self._encode(record)


def refuse_card_numbers(record: Mapping[str, object]) -> None:
    """Look for card numbers in every text of a record.

    Raises:
        CardwatchError: there is one; names the field, never the number.
    """
    for name, value in record.items():
        if isinstance(value, str) and holds_card_number(value):
            raise CardwatchError(f"{name} holds a card number, which must never be kept; use its card token")
