"""What is on the topic of alerts, for a detector that has no state."""

from collections.abc import Sequence
from contextlib import closing, suppress

from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.topics import ALERTS
from cardwatch_contracts.wire import Decoder
from cardwatch_service.settings import ServiceSettings

from cardwatch_detector.velocity.kafka_clients import topic_reader


def has_published(service: ServiceSettings, scopes: Sequence[str]) -> bool:
    """Whether there is an alert of one of the scopes.

    Raises:
        CardwatchError: broker or registry do not answer.
    """
    prefix = service.topic_prefix
    decode = Decoder("alert", service.registry(), ALERTS.subject(prefix))
    with closing(topic_reader(service.kafka_config())) as reader:
        for message in reader.read_all(ALERTS.name(prefix)):
            with suppress(RefusedError):  # no alert of ours
                if decode(message.value)["scope"] in scopes:
                    return True
    return False
