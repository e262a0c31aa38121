"""The audit trail, bronze.rule_changes, as the source of histories, and compared with the topics."""

from collections.abc import Iterable, Mapping, Sequence

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import AUDITED_TOPICS
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_lakehouse.audit.chain import Content, Link, content_digest
from cardwatch_lakehouse.audit.comparison import Comparison, compare_with_topic
from cardwatch_lakehouse.audit.masking import mask_content
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_rulebook.connect import Copies
from cardwatch_service.settings import ServiceSettings

from cardwatch_cli.connections import TopicReader


def read_copies(tables_dir: str, settings: ServiceSettings) -> Copies:
    """The messages of rules and lists in the audit trail; none, and a note on standard error, if it cannot be read."""
    names = [topic.name(settings.topic_prefix) for topic in AUDITED_TOPICS]
    copies: dict[str, list[ReceivedMessage]] = {name: [] for name in names}
    try:
        for link in read_links(Catalog(tables_dir)):
            if link.content.topic in copies:
                copies[link.content.topic].append(_message(link.content))
    except ConfigurationError as error:
        typer.echo(f"note: this history is from the topic only, not from the audit trail: {error}", err=True)
        return {}
    return copies


def compare_topics(
    names: Sequence[str], links: Iterable[Link], reader: TopicReader, *, must_be_copied_before: int
) -> Mapping[tuple[str, int], Comparison]:
    """Compare the audit trail with topics, by topic and partition.

    Args:
        names: full names of the topics.
        must_be_copied_before: see ``compare_with_topic``.

    Raises:
        KafkaClientError: the broker does not answer, or has no such topic.
    """
    digests: dict[tuple[str, int], dict[int, bytes]] = {}
    for link in links:
        content = link.content
        digests.setdefault((content.topic, content.partition), {})[content.offset] = content_digest(content)
    comparisons: dict[tuple[str, int], Comparison] = {}
    for name in names:
        partitions = {partition for topic, partition in digests if topic == name}.union(reader.partitions(name))
        held: dict[int, list[tuple[Content, Content]]] = {partition: [] for partition in partitions}
        for message in reader.read_all(name):
            content = _content(message)
            held.setdefault(message.partition, []).append((content, mask_content(content)))
        for partition in sorted(held):
            comparisons[name, partition] = compare_with_topic(
                name,
                partition,
                digests.get((name, partition), {}),
                held[partition],
                must_be_copied_before=must_be_copied_before,
            )
    return comparisons


def _message(content: Content) -> ReceivedMessage:
    topic, partition, offset, broker_time, key, value, _ = content
    return ReceivedMessage(topic, partition, offset, key, value, broker_time=broker_time)


def _content(message: ReceivedMessage) -> Content:
    return Content(message.topic, message.partition, message.offset, message.broker_time, message.key, message.value)
