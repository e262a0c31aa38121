"""The schemas that messages of one topic may be written with: every version of the topic's subject, and no other.

A schema id in a message is a number that its sender has chosen. It is accepted if the registry lists it as a version
of the subject, and the version's text passes ``writer_schemas``. An id is asked for when it is first met; a version
that is known is never asked for again, so that a registry that is down stops nothing that is known.

Not every unknown id means an invalid message. All of these are outages of the registry, whose end messages wait for:

- it does not answer, or answers with an error
- it has no version of the subject at all
- it has lost a version that it had before, or another schema has that version's id now
- most of the newest messages have unknown ids: see ``registry_outages``

Any other unknown id is refused, and not asked for again for NEGATIVE_SECONDS. Messages with ids made up at random cost
one request per batch, at most REQUESTS_PER_SECOND on average; where a topic is read to its end and no further, one
request in all.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from cardwatch_contracts.errors import CardwatchError, RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.registry_outages import UnknownIdWindow
from cardwatch_contracts.request_budget import RequestBudget
from cardwatch_contracts.schemas import parse, parsed_schema, schema_text
from cardwatch_contracts.writer_schemas import UnsafeSchemaError, check_writer_schema

NEGATIVE_SECONDS: Final = 5.0
REQUESTS_PER_SECOND: Final = 5.0
_BURST: Final = 20
_MAX_REFUSED_IDS: Final = 10_000

T = TypeVar("T")

OnOutage = Callable[[bool], None]
"""Called with True while messages wait for the registry, and with False at the end of that."""


class SubjectSchemas:
    """The versions of one subject, as far as they were asked for. Several threads may share it."""

    def __init__(
        self,
        schema_name: str,
        registry: Registry,
        subject: str,
        *,
        on_outage: OnOutage = lambda waiting: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            schema_name: that of the messages: a file of ``schemas/`` without ``.avsc``.
            clock: seconds that never go back.
        """
        self.subject: Final = subject
        self._record_name: Final[str] = parsed_schema(schema_name)["name"]
        self._own: Final = check_writer_schema(schema_text(schema_name), self._record_name)
        self.same_as_own: Final[set[int]] = set()
        """The ids of versions that have the same fields as this program's own schema: nothing of them is skipped."""
        self._registry: Final = registry
        self._on_outage: Final = on_outage
        self._clock: Final = clock
        self._budget: Final = RequestBudget(REQUESTS_PER_SECOND, _BURST, clock=clock, sleep=sleep)
        self._window: Final = UnknownIdWindow()
        self._lock: Final = threading.Lock()
        self._registered: dict[int, str] = {}
        self._writers: dict[int, str] = {}
        self._parsed: dict[int, Any] = {}
        self._unsafe: dict[int, str] = {}
        self._refused: dict[int, tuple[float, Reason]] = {}
        self._waiting = False
        self._refreshed_at = float("-inf")

    @property
    def writers(self) -> Mapping[int, str]:
        """The checked text of each version that was asked for, by schema id."""
        return dict(self._writers)

    @property
    def unsafe_ids(self) -> tuple[int, ...]:
        """The ids of versions with which no message is decoded."""
        return tuple(self._unsafe)

    def parsed_writer(self, schema_id: int) -> Any:
        """A version's schema for fastavro.

        Raises:
            RefusedError: no message with this id is decoded.
            RegistryUnavailableError: whether one is cannot be said now: try again.
        """
        if schema_id not in self._registered and not self._is_refused(schema_id):
            self.look_up({schema_id: 1}, suspect_outage=False)
        parsed = self._parsed.get(schema_id)
        if parsed is None:
            raise RefusedError(self.refusal(schema_id) or Reason.WRONG_SCHEMA, self._why_refused(schema_id))
        return parsed

    def refusal(self, schema_id: int) -> Reason | None:
        """Why no message with this id is decoded, after ``look_up``; None if they are."""
        if schema_id in self._registered:
            return Reason.WRONG_SCHEMA if schema_id in self._unsafe else None
        (_, reason) = self._refused.get(schema_id, (0.0, Reason.UNKNOWN_SCHEMA_ID))
        return reason

    def _why_refused(self, schema_id: int) -> str:
        if schema_id in self._unsafe:
            return f"schema id {schema_id} of {self.subject} cannot be decoded with: {self._unsafe[schema_id]}"
        if self.refusal(schema_id) is Reason.WRONG_SCHEMA:
            return (
                f"expected a version of {self._record_name} registered as {self.subject}, "
                f"got schema id {schema_id}, which is registered, but not as that"
            )
        return (
            f"the schema registry has no schema id {schema_id} among the versions of {self.subject}; register it first"
        )

    def look_up(
        self, messages: Mapping[int, int], *, suspect_outage: bool = True, written_before: float = float("inf")
    ) -> None:
        """Ask for the ids of a batch, all that are not known at once.

        Args:
            messages: by schema id, how many messages of the batch have it.
            suspect_outage: whether most messages having unknown ids is an outage. Not where nobody waits for its end,
                or where only some of the messages are looked up.
            written_before: when the messages were there, by the clock: their versions were registered before. What
                was asked since then is not asked again.

        Raises:
            RegistryUnavailableError: the registry has an outage (see the module): repeat the call with the same batch.
        """
        with self._asking():
            self._look_up(messages, suspect_outage, written_before)

    def refresh(self) -> None:
        """Ask for all versions.

        Raises:
            RegistryUnavailableError: the registry does not answer, or has lost versions.
        """
        with self._asking():
            self._refresh()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One thread at a time asks the registry; whether that met an outage is reported."""
        with self._lock:
            try:
                yield
            except RegistryUnavailableError:
                self._report(True)
                raise
            self._report(False)

    def _look_up(self, messages: Mapping[int, int], suspect_outage: bool, written_before: float) -> None:
        unknown = [number for number in messages if number not in self._registered]
        new = [number for number in unknown if not self._is_refused(number)]
        if new and self._refreshed_at < written_before:
            self._budget.wait()
            self._refresh()
            unknown = [number for number in unknown if number not in self._registered]
        of_unknown = sum(messages[number] for number in unknown)
        of_known = sum(messages.values()) - of_unknown
        if suspect_outage and self._window.must_wait(of_known, of_unknown, self._clock()):
            raise RegistryUnavailableError(
                f"most of the newest messages have schema ids that the schema registry does not know as versions of "
                f"{self.subject} (such as {unknown[0]}): is it another registry than the senders', or has it lost "
                "schemas? They wait for a quarter of an hour, see docs/runbooks/CardwatchRegistryOutage.md"
            )
        for number in new:
            if number not in self._registered:
                self._remember(number, self._unknown(number))

    def _refresh(self) -> None:
        asked_at = self._clock()
        found = _ask(lambda: self._registry.ids_of_all_versions(self.subject))
        if not found:
            raise RegistryUnavailableError(
                f"the schema registry has no version of {self.subject}: run `cardwatch schemas apply`, or restore the "
                "registry if it was there before; messages wait until then"
            )
        lost = [number for number, text in self._registered.items() if not self._is_same(text, found.get(number))]
        if lost:
            raise RegistryUnavailableError(
                f"the schema registry has lost schema id {lost[0]} of {self.subject}, or has given it to another "
                "schema: restore the registry; if the version was deleted on purpose, restart this service"
            )
        for number, text in found.items():
            if number not in self._registered:
                self._take(number, text)
        self._refreshed_at = asked_at

    def _is_same(self, text: str, other: str | None) -> bool:
        """Whether texts describe the same bytes: a new version of the registry may write them otherwise."""
        if other is None or text == other:
            return other is not None
        try:
            return check_writer_schema(text, self._record_name) == check_writer_schema(other, self._record_name)
        except UnsafeSchemaError:
            return False

    def _take(self, number: int, text: str) -> None:
        """Check a version's text, and keep it or the reason for which nothing is decoded with it."""
        try:
            checked = check_writer_schema(text, self._record_name)
            self._parsed[number] = parse(checked)
            self._writers[number] = checked
            if checked == self._own:
                self.same_as_own.add(number)
        except Exception as error:  # noqa: BLE001  # what a library says about somebody's schema
            self._unsafe[number] = str(error) if isinstance(error, UnsafeSchemaError) else type(error).__name__
        self._registered[number] = text

    def _unknown(self, number: int) -> Reason:
        # Only for the reason's sake: if asking costs too much, or fails, the id is simply unknown.
        if self._budget.take():
            with suppress(RegistryUnavailableError):
                if _ask(lambda: self._registry.schema_by_id(number)) is not None:
                    return Reason.WRONG_SCHEMA
        return Reason.UNKNOWN_SCHEMA_ID

    def _remember(self, number: int, reason: Reason) -> None:
        while len(self._refused) >= _MAX_REFUSED_IDS:
            del self._refused[next(iter(self._refused))]  # the one that was refused first
        self._refused[number] = (self._clock() + NEGATIVE_SECONDS, reason)

    def _is_refused(self, number: int) -> bool:
        (until, _) = self._refused.get(number, (float("-inf"), None))
        return until > self._clock()

    def _report(self, waiting: bool) -> None:
        if waiting != self._waiting:
            self._waiting = waiting
            self._on_outage(waiting)


def _ask(call: Callable[[], T]) -> T:
    try:
        return call()
    except CardwatchError as error:
        if isinstance(error, RegistryUnavailableError):
            raise
        # A refused request (no right, wrong password) says nothing about the message either.
        raise RegistryUnavailableError(f"the schema registry refuses the request: {error}") from error
    except Exception as error:
        raise RegistryUnavailableError(f"the schema registry cannot be asked: {error!r}") from error
