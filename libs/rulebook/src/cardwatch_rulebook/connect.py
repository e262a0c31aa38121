"""Rules and lists of a deployment: everything wired to its settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, TypeVar

from cardwatch_contracts.registry import Registry
from cardwatch_contracts.subject_schemas import OnOutage
from cardwatch_contracts.topics import LISTS, RULE_APPROVALS, RULE_STATUS, RULES, Topic
from cardwatch_contracts.wire import Decoder, Encoder, Record
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_service.settings import ServiceSettings

from cardwatch_rulebook.approvals import Approval
from cardwatch_rulebook.changes import Change
from cardwatch_rulebook.follower import Follower
from cardwatch_rulebook.kafka_log import KafkaBackgroundWriter, KafkaLog, follow_topics
from cardwatch_rulebook.lists import ListEntry
from cardwatch_rulebook.log import LogWithCopies
from cardwatch_rulebook.messages import OnRefused, Reader, Writer
from cardwatch_rulebook.snapshot import SnapshotBuilder
from cardwatch_rulebook.status import RuleStatus
from cardwatch_rulebook.stores import ApprovalStore, ListStore, RuleStore, StatusReporter, StatusStore

T = TypeVar("T")

Copies = Mapping[str, Sequence[ReceivedMessage]]
"""Messages that were copied from topics earlier, in their order, by the topic's full name."""
NO_COPIES: Final[Copies] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that analysts work with. Each connects when it is first used."""

    rules: RuleStore
    lists: ListStore
    statuses: StatusStore
    approvals: ApprovalStore


@contextmanager
def open_stores(settings: ServiceSettings, copies: Copies = NO_COPIES) -> Iterator[Stores]:
    """The stores of a deployment. For one thread.

    Args:
        copies: topics that begin with these messages, which they may no longer hold.
    """
    registry = settings.registry()

    def log(topic: Topic) -> LogWithCopies:
        name = topic.name(settings.topic_prefix)
        return LogWithCopies(KafkaLog(settings.kafka_config(), name), copies.get(name, ()))

    def reader(topic: Topic, from_record: Callable[[Record], T]) -> Reader[T]:
        decoder = Decoder(_schema(topic), registry, topic.subject(settings.topic_prefix))
        return Reader(decoder, from_record, look_up=decoder.look_up)

    stores = Stores(
        RuleStore(log(RULES), reader(RULES, Change.from_record), _writer(RULES, registry, settings)),
        ListStore(log(LISTS), reader(LISTS, ListEntry.from_record), _writer(LISTS, registry, settings)),
        StatusStore(log(RULE_STATUS), reader(RULE_STATUS, RuleStatus.from_record)),
        ApprovalStore(
            log(RULE_APPROVALS),
            reader(RULE_APPROVALS, Approval.from_record),
            _writer(RULE_APPROVALS, registry, settings),
        ),
    )
    try:
        yield stores
    finally:
        stores.rules.close()
        stores.lists.close()
        stores.statuses.close()
        stores.approvals.close()


def follower(
    settings: ServiceSettings,
    horizons_us: Mapping[str, int],
    on_refused: OnRefused = lambda reason: None,
    on_registry_outage: Callable[[str], OnOutage] = lambda subject: lambda waiting: None,
) -> Follower:
    """Follows the rules and lists of a deployment, once started; where it requires approvals, these as well.

    Args:
        horizons_us: how far back each scope's state reaches, microseconds; a rule that needs more is broken.
        on_refused: called in the follower's thread for each message that was skipped.
        on_registry_outage: makes what is called in the follower's thread when an outage for a subject begins or ends.
    """
    registry, prefix = settings.registry(), settings.topic_prefix
    builder = SnapshotBuilder(horizons_us, requires_approval=settings.rules_require_approval)
    decoders: dict[str, Decoder] = {}

    def take(
        topic: Topic, from_record: Callable[[Record], T], taken: Callable[[T], None]
    ) -> Callable[[ReceivedMessage], None]:
        subject, name = topic.subject(prefix), topic.name(prefix)
        decoders[name] = Decoder(_schema(topic), registry, subject, on_outage=on_registry_outage(subject))
        return _taking(Reader(decoders[name], from_record, on_refused), taken)

    takers = {
        RULES.name(prefix): take(RULES, Change.from_record, builder.take_change),
        LISTS.name(prefix): take(LISTS, ListEntry.from_record, builder.take_entry),
    }
    if settings.rules_require_approval:
        takers[RULE_APPROVALS.name(prefix)] = take(RULE_APPROVALS, Approval.from_record, builder.take_approval)

    def look_up(messages: Sequence[ReceivedMessage]) -> None:
        for topic, decoder in decoders.items():
            decoder.look_up(message.value for message in messages if message.topic == topic)

    return Follower(
        follow_topics(settings.kafka_config(), takers),
        builder,
        lambda message: takers[message.topic](message),
        look_up_schemas=look_up,
    )


def status_reporter(settings: ServiceSettings, detector: str) -> StatusReporter:
    """A reporter of what a detector does with its rules; ``detector`` is the name under which analysts see it."""
    status_topic = KafkaBackgroundWriter(settings.kafka_config(), RULE_STATUS.name(settings.topic_prefix))
    return StatusReporter(status_topic, _writer(RULE_STATUS, settings.registry(), settings), detector)


def _taking(read: Reader[T], take: Callable[[T], None]) -> Callable[[ReceivedMessage], None]:
    def taken(message: ReceivedMessage) -> None:
        item = read(message)
        if item is not None:
            take(item)

    return taken


def _writer(topic: Topic, registry: Registry, settings: ServiceSettings) -> Writer:
    @cache
    def encoder() -> Encoder:  # looked up at the first write: a reader needs no schema id
        return Encoder(_schema(topic), registry.id_of(topic.subject(settings.topic_prefix), _schema(topic)))

    return Writer(lambda record: encoder()(record))


def _schema(topic: Topic) -> str:
    assert topic.schema is not None
    return topic.schema
