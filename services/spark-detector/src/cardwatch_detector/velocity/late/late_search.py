"""Finds transactions that arrived too late: the group in which they would be evaluated had already been evicted."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.values import EARLIEST_EVENT_TIME, LATEST_EVENT_TIME
from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import ReceivedMessage

from cardwatch_detector.velocity.state.groups import group_ends
from cardwatch_detector.velocity.token_views import TokenView


@dataclass(frozen=True, slots=True)
class LateTransaction:
    """A transaction that some scopes did not evaluate; others may have.

    Attributes:
        message: the silver message that held it.
        event_us: its event time, microseconds.
        scopes: those that did not evaluate it.
    """

    message: ReceivedMessage
    card_token: str
    event_us: int
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LateTransactions:
    """The late transactions of a micro-batch.

    Attributes:
        transactions: in the order of their messages.
        groups: how many evicted groups they would have been in; Spark's state operator drops a row for each.
    """

    transactions: list[LateTransaction]
    groups: int


@dataclass(frozen=True, kw_only=True)
class LateSearch:
    """Finds late transactions by the rule by which Spark's state operator drops them.

    Attributes:
        event_time: the event time of a silver message's value, microseconds; None where only decoding it can tell.
        decode: the record of a silver message's value; raises RefusedError where it is not a valid one.
        keys: by scope, the field of the transaction that is its key.
        horizons_us: by scope, how far back its windows can reach, microseconds.
        view: during a rotation of token keys, which token the query sees, and which transactions' alerts it publishes.
    """

    event_time: Callable[[bytes | None], int | None]
    decode: Callable[[bytes | None], Record]
    keys: Mapping[str, str]
    horizons_us: Mapping[str, int]
    view: TokenView | None = None

    def find(self, messages: Iterable[ReceivedMessage], watermark_us: int) -> LateTransactions:
        """The late transactions among the messages of one micro-batch.

        Args:
            watermark_us: the watermark that the micro-batch had for late events, microseconds.

        Raises:
            RegistryUnavailableError: a message's schema cannot be looked up now.
        """
        transactions: list[LateTransaction] = []
        evicted_groups: set[tuple[str, str, int]] = set()
        for message in messages:
            # A group ends after the transactions in it: what is not behind the watermark need not be decoded.
            at = self.event_time(message.value)
            if at is not None and at >= watermark_us:
                continue
            try:
                record = self.decode(message.value)
            except RefusedError:  # it is in no group; the lakehouse quarantines it
                continue
            if not EARLIEST_EVENT_TIME <= record["event_time"] < LATEST_EVENT_TIME:  # it is in no group either
                continue
            in_view = record if self.view is None else self.view.record_in_view(record)
            scopes = tuple(self._scopes_without_it(in_view, watermark_us, evicted_groups))
            if scopes and (self.view is None or self.view.publishes(record["event_time"])):
                transactions.append(LateTransaction(message, record["card_token"], record["event_time"], scopes))
        return LateTransactions(transactions, len(evicted_groups))

    def _scopes_without_it(
        self, record: Record, watermark_us: int, evicted_groups: set[tuple[str, str, int]]
    ) -> Iterable[str]:
        at = record["event_time"]
        for scope, field in self.keys.items():
            key, horizon = record[field], self.horizons_us[scope]
            if key is None:
                continue
            passed = [end for end in group_ends(at, at % horizon, horizon) if end <= watermark_us]
            evicted_groups.update((scope, key, end) for end in passed)
            # The group that evaluates ends first: the other, which has it as history only, may still be there.
            if passed:
                yield scope
