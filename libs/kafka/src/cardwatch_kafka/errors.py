"""Errors of the Kafka clients: the kind of each, and the sentence that describes it to a person.

KafkaClientError                one sentence with the broker, the topic and what to do; .code is librdkafka's
├── BrokerUnavailableError      no broker answers: try again later
├── MissingTopicError           there is no such topic
├── ProducerFatalError          the producer can never send again: create another one, or restart
└── DeliveryError               messages were not acknowledged

``StoppedError`` of ``cardwatch_service.retry``: the service was asked to stop while it waited for the broker.
"""

from enum import Enum, auto
from typing import Any, Final

from cardwatch_contracts.errors import CardwatchError
from cardwatch_service.retry import StoppedError
from confluent_kafka import KafkaError, KafkaException

__all__ = [
    "BrokerUnavailableError",
    "DeliveryError",
    "ErrorKind",
    "KafkaClientError",
    "MissingTopicError",
    "ProducerFatalError",
    "StoppedError",
    "classify_error",
    "describe_error",
    "kafka_error",
    "translate_error",
]


class KafkaClientError(CardwatchError):
    """A Kafka client could not do what was asked.

    Attributes:
        code: librdkafka's code of the error (``KafkaError.code()``), None where there was none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class BrokerUnavailableError(KafkaClientError):
    """No broker answers. Nothing is known about the topic."""


class MissingTopicError(KafkaClientError):
    """The broker has no such topic."""


class ProducerFatalError(KafkaClientError):
    """The producer can never send again."""


class DeliveryError(KafkaClientError):
    """The broker did not acknowledge messages that must be published."""


class ErrorKind(Enum):
    """What can be done about an error of the broker or the client."""

    FATAL = auto()
    """The client can never be used again."""

    REJECTED = auto()
    """The broker refuses this message, however often it is sent."""

    MISSING_TOPIC = auto()
    """There is no such topic or partition."""

    FORBIDDEN = auto()
    """The client may not do this; a person has to change something."""

    LEADER_CHANGE = auto()
    """Another broker leads the partition, or none yet; passes within seconds."""

    UNAVAILABLE = auto()
    """No broker answers."""

    RETRYABLE = auto()
    """Anything else: it may pass."""


_KINDS: Final = {
    KafkaError._FATAL: ErrorKind.FATAL,
    KafkaError.MSG_SIZE_TOO_LARGE: ErrorKind.REJECTED,
    KafkaError.INVALID_RECORD: ErrorKind.REJECTED,
    KafkaError.UNKNOWN_TOPIC_OR_PART: ErrorKind.MISSING_TOPIC,
    KafkaError._UNKNOWN_TOPIC: ErrorKind.MISSING_TOPIC,
    KafkaError._UNKNOWN_PARTITION: ErrorKind.MISSING_TOPIC,
    KafkaError.TOPIC_EXCEPTION: ErrorKind.FORBIDDEN,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: ErrorKind.FORBIDDEN,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: ErrorKind.FORBIDDEN,
    KafkaError.GROUP_AUTHORIZATION_FAILED: ErrorKind.FORBIDDEN,
    KafkaError._AUTHENTICATION: ErrorKind.FORBIDDEN,
    KafkaError.NOT_LEADER_FOR_PARTITION: ErrorKind.LEADER_CHANGE,
    KafkaError.LEADER_NOT_AVAILABLE: ErrorKind.LEADER_CHANGE,
    KafkaError.FENCED_LEADER_EPOCH: ErrorKind.LEADER_CHANGE,
    KafkaError.UNKNOWN_LEADER_EPOCH: ErrorKind.LEADER_CHANGE,
    KafkaError.OFFSET_NOT_AVAILABLE: ErrorKind.LEADER_CHANGE,
    KafkaError._TRANSPORT: ErrorKind.UNAVAILABLE,
    KafkaError._ALL_BROKERS_DOWN: ErrorKind.UNAVAILABLE,
    KafkaError._TIMED_OUT: ErrorKind.UNAVAILABLE,
}


def classify_error(error: KafkaError) -> ErrorKind:
    """What can be done about an error."""
    if error.fatal():
        return ErrorKind.FATAL
    return _KINDS.get(error.code(), ErrorKind.RETRYABLE)


def kafka_error(exception: KafkaException) -> KafkaError:
    """The error that an exception of the client carries."""
    error: KafkaError = exception.args[0]
    return error


def describe_error(error: KafkaError, action: str, *, topic: str, servers: object) -> str:
    """A sentence about an error: what failed, where, and what to do about it.

    Args:
        action: what was to be done with the topic, as a participle: ``read``, ``written to``.
        servers: the value of ``bootstrap.servers``.
    """
    match classify_error(error):
        case ErrorKind.MISSING_TOPIC:
            return f"there is no topic {topic} at {servers}: `cardwatch schemas apply` creates the topics"
        case ErrorKind.UNAVAILABLE:
            return (
                f"the Kafka broker at {servers} does not answer ({error.str()}); "
                "check that it runs and that CARDWATCH_KAFKA_BOOTSTRAP_SERVERS is right"
            )
        case ErrorKind.FORBIDDEN:
            return f"topic {topic} at {servers} may not be {action}: {error.str()}; grant the service that right"
        case ErrorKind.FATAL:
            return f"the Kafka client at {servers} cannot continue: {error.str()}; restart the service"
        case _:
            return f"topic {topic} at {servers} cannot be {action}: {error.str()}"


_TYPES: Final = {
    ErrorKind.MISSING_TOPIC: MissingTopicError,
    ErrorKind.UNAVAILABLE: BrokerUnavailableError,
    ErrorKind.FATAL: ProducerFatalError,
}


def translate_error(failure: Any, action: str, *, topic: str, servers: object) -> KafkaClientError:
    """The exception to raise for an error of the client or the exception that carries it; see ``describe_error``."""
    error = kafka_error(failure) if isinstance(failure, KafkaException) else failure
    error_type = _TYPES.get(classify_error(error), KafkaClientError)
    return error_type(describe_error(error, action, topic=topic, servers=servers), error.code())
