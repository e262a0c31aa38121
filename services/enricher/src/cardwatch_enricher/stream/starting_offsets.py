"""Where the enricher begins to read the partitions that it was assigned."""

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientTopicPartition
from cardwatch_kafka.lost_offsets import LostOffsets, OffsetBounds
from cardwatch_kafka.messages import TopicPartition


async def seek_to_starts(consumer: AIOKafkaConsumer, lost_offsets: LostOffsets) -> dict[Any, int]:
    """Seek each assigned partition to its committed offset, or to its first; returns these offsets.

    They are committed at once: a partition without traffic, too, then shows the lag that it has (none).

    Raises:
        LostOffsetsError: committed offsets are not there any more.
        aiokafka.errors.KafkaError: the broker did not answer.
    """
    places = list(consumer.assignment())
    if not places:
        return {}
    first, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    committed = {place: await consumer.committed(place) for place in places}
    starts = lost_offsets.starting_offsets(
        {TopicPartition(*place): committed[place] for place in places},
        {TopicPartition(*place): OffsetBounds(first[place], end[place]) for place in places},
    )
    begun = {ClientTopicPartition(*place): offset for place, offset in starts.items()}
    for place, offset in begun.items():
        consumer.seek(place, offset)
    new = {place: OffsetAndMetadata(offset, "") for place, offset in begun.items() if committed[place] != offset}
    if new:
        await consumer.commit(new)
    return begun
