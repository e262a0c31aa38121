"""Compares topics that exist with what Cardwatch needs of them. No I/O.

What a topic should be like is defined once, in ``cardwatch_contracts.topics``; here is what follows from a difference.
A difference *stops* a service if its results would be wrong, or if it could not work at all: messages that are deleted
before they count, or that can never be published or read. All others are reported and survived.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.topics import REPLAYED_TOPICS, Topic

MIN_MESSAGE_BYTES: Final = 64 * 1024
"""No message of Cardwatch is larger than this when it is shortened: an alert with its evidence, a dead letter."""

# Kafka's default, for which Cardwatch's own limits are made.
_USUAL_MESSAGE_BYTES: Final = 1_048_588
_UNLIMITED: Final = -1
_MAX_TIMESTAMP_MS: Final = 100 * 365 * 86_400_000
_MILLISECONDS_PER_HOUR: Final = 3_600_000
_TIMESTAMP_TYPE: Final = "message.timestamp.type"
_TIMESTAMP_LIMITS: Final = ("message.timestamp.after.max.ms", "message.timestamp.before.max.ms")


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic as the broker has it.

    Attributes:
        replicas: of each partition; the smallest number, if they differ.
        settings: all settings in effect, those that the broker's defaults give among them.
    """

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]

    def number(self, setting: str, default: int) -> int:
        """A numeric setting; ``default`` where this broker has none of that name."""
        return int(self.settings.get(setting, default))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a comparison has to know besides the topic.

    Attributes:
        brokers: how many there are; 0 if that is not known.
        servers: the value of ``bootstrap.servers``, for the commands.
    """

    brokers: int
    servers: str


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from a difference.

    Attributes:
        why: a clause for people.
        stops: whether a service that uses the topic should not start.
    """

    why: str
    stops: bool


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """Something about a topic that is not as Cardwatch needs it.

    Attributes:
        mend: the command that mends it.
    """

    topic: str
    setting: str
    expected: str
    found: str
    consequence: Consequence
    mend: str

    @property
    def stops(self) -> bool:
        """Whether a service that uses the topic should not start."""
        return self.consequence.stops

    def __str__(self) -> str:
        return (
            f"topic {self.topic} has {self.setting} {self.found}, expected {self.expected}: {self.consequence.why}. "
            f"To mend it: {self.mend}"
        )


def compare_topic(topic: Topic, found: ExistingTopic, cluster: Cluster, *, needed_ms: int = 0) -> list[TopicDifference]:
    """The differences between a topic that exists and what Cardwatch needs; those that stop a service come first.

    Args:
        needed_ms: how long a message must at least be kept for right results, milliseconds: the horizon and the
            lateness of the detector that reads the topic.
    """
    comparison = _Comparison(topic, found, cluster)
    checks: tuple[Callable[[], Iterator[TopicDifference]], ...] = (
        comparison.timestamp_type,
        comparison.cleanup_policy,
        lambda: comparison.retention(needed_ms),
        comparison.retention_bytes,
        comparison.replication,
        comparison.in_sync_replicas,
        comparison.leader_election,
        comparison.message_bytes,
        comparison.partitions,
    )
    return sorted((one for check in checks for one in check()), key=lambda one: not one.stops)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The checks of one topic, each of one setting."""

    topic: Topic
    found: ExistingTopic
    cluster: Cluster

    def timestamp_type(self) -> Iterator[TopicDifference]:
        expected = self.topic.config.get(_TIMESTAMP_TYPE)
        actual = self.found.settings.get(_TIMESTAMP_TYPE)
        if expected is None or actual is None or actual == expected:
            return
        limits = (self.found.number(name, _MAX_TIMESTAMP_MS + 1) for name in _TIMESTAMP_LIMITS)
        unlimited = max(limits) > _MAX_TIMESTAMP_MS
        why = "producers set the times of messages, so that a producer's clock decides what latencies are measured from"
        if unlimited:
            why += (
                f", and nothing limits them ({', '.join(_TIMESTAMP_LIMITS)}): one message from after the year 292278, "
                "or from as long ago, stops every Spark query that reads it"
            )
        yield self._setting(_TIMESTAMP_TYPE, expected, actual, why, stops=unlimited)

    def cleanup_policy(self) -> Iterator[TopicDifference]:
        expected = self.topic.config.get("cleanup.policy", "delete")
        actual = self.found.settings.get("cleanup.policy", expected)
        if _words(actual) == _words(expected):
            return
        # The last message of a key is enough to work with rules and lists; it is their history that is lost.
        stops = "delete" in _words(actual) - _words(expected) or self.topic not in REPLAYED_TOPICS
        if "compact" in _words(actual) - _words(expected):
            why = "of several messages with one key the broker keeps the last only, whether the others were read or not"
        else:
            why = "the broker deletes messages by their age that have to stay"
        yield self._setting("cleanup.policy", expected, actual, why, stops=stops)

    def retention(self, needed_ms: int) -> Iterator[TopicDifference]:
        if "delete" not in _words(self.found.settings.get("cleanup.policy", "delete")):
            return
        expected = int(self.topic.config.get("retention.ms", _UNLIMITED))
        actual = self.found.number("retention.ms", expected)
        if actual == _UNLIMITED or (expected != _UNLIMITED and actual >= expected):
            return
        stops = actual < needed_ms or self.topic in REPLAYED_TOPICS
        if self.topic in REPLAYED_TOPICS:
            why = "what nobody has changed for that long disappears, and counts no more"
        elif actual < needed_ms:
            why = (
                f"it has to be at least {_duration(needed_ms)}, the detector's horizon and its lateness: a detector "
                "without a checkpoint would raise wrong alerts"
            )
        else:
            why = f"a service that is down for longer than {_duration(actual)} finds unread messages deleted"
        yield self._setting("retention.ms", str(expected), str(actual), why, stops=stops)

    def retention_bytes(self) -> Iterator[TopicDifference]:
        actual = self.found.number("retention.bytes", _UNLIMITED)
        if actual != _UNLIMITED and "delete" in _words(self.found.settings.get("cleanup.policy", "delete")):
            why = "with much traffic the broker deletes messages before their time (retention.ms) is over"
            yield self._setting("retention.bytes", str(_UNLIMITED), str(actual), why, stops=False)

    def replication(self) -> Iterator[TopicDifference]:
        if self.found.replicas == 1 and self.cluster.brokers > 1:
            yield TopicDifference(
                self.found.name, "replication factor", f"{min(3, self.cluster.brokers)}", "1",
                Consequence("if its broker is lost, so are its messages", stops=False),
                f"kafka-reassign-partitions.sh --bootstrap-server {self.cluster.servers} --execute "
                "--reassignment-json-file <a file with the replicas of each partition>",
            )  # fmt: skip

    def in_sync_replicas(self) -> Iterator[TopicDifference]:
        replicas, actual = self.found.replicas, self.found.number("min.insync.replicas", 1)
        expected = str(max(1, replicas - 1))
        if actual > replicas:
            why = f"there are only {replicas} replicas, so that nothing can be published"
            yield self._setting("min.insync.replicas", expected, str(actual), why, stops=True)
        elif actual == 1 < replicas:
            why = "a message that was acknowledged may be on one broker only, and is lost with it"
            yield self._setting("min.insync.replicas", str(min(2, replicas)), "1", why, stops=False)
        elif actual == replicas > 1:
            why = "nothing can be published while any one of the brokers is down"
            yield self._setting("min.insync.replicas", expected, str(actual), why, stops=False)

    def leader_election(self) -> Iterator[TopicDifference]:
        if self.found.settings.get("unclean.leader.election.enable") == "true" and self.found.replicas > 1:
            why = "a replica that lacks acknowledged messages may become the leader, and they are lost"
            yield self._setting("unclean.leader.election.enable", "false", "true", why, stops=False)

    def message_bytes(self) -> Iterator[TopicDifference]:
        actual = self.found.number("max.message.bytes", _USUAL_MESSAGE_BYTES)
        if actual >= _USUAL_MESSAGE_BYTES:
            return
        stops = actual < MIN_MESSAGE_BYTES
        why = (
            "not even an alert with its evidence, or a dead letter without content, is sure to be taken"
            if stops
            else "larger messages are refused by the broker, and large dead letters are kept without their content"
        )
        expected = f"{_USUAL_MESSAGE_BYTES} or more"
        command = self._command("max.message.bytes", str(_USUAL_MESSAGE_BYTES))
        yield TopicDifference(
            self.found.name, "max.message.bytes", expected, str(actual), Consequence(why, stops), command
        )

    def partitions(self) -> Iterator[TopicDifference]:
        expected, actual = self.topic.partitions, self.found.partitions
        if actual < expected:
            yield TopicDifference(
                self.found.name, "partitions", f"{expected} or more", str(actual),
                Consequence(f"at most {actual} replicas of a service can share the work", stops=False),
                f"kafka-topics.sh --bootstrap-server {self.cluster.servers} --alter --topic {self.found.name} "
                f"--partitions {expected} (stop its producers first: keys move to other partitions)",
            )  # fmt: skip
        elif actual > 1 and self.topic in REPLAYED_TOPICS:
            yield TopicDifference(
                self.found.name, "partitions", "1", str(actual),
                Consequence("Cardwatch reads and writes partition 0 only, so that what others write elsewhere is not "
                            "seen", stops=False),
                f"export it, delete it and create it again with `cardwatch schemas apply` at {self.cluster.servers}",
            )  # fmt: skip

    def _setting(self, setting: str, expected: str, found: str, why: str, *, stops: bool) -> TopicDifference:
        command = self._command(setting, expected)
        return TopicDifference(self.found.name, setting, expected, found, Consequence(why, stops), command)

    def _command(self, setting: str, value: str) -> str:
        return (
            f"kafka-configs.sh --bootstrap-server {self.cluster.servers} --alter --entity-type topics "
            f"--entity-name {self.found.name} --add-config {setting}={value}"
        )


def _words(policy: str) -> frozenset[str]:
    return frozenset(word.strip() for word in policy.split(",") if word.strip())


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / _MILLISECONDS_PER_HOUR:g} h"
