"""Writes messages with a header whose name is not UTF-8: the broker takes them, and no Python client makes them."""

import asyncio
from typing import Any, Final
from unittest.mock import patch

from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

UNREADABLE_NAME: Final = b"n\xff\xfee"


class _UnreadableName(str):
    """Text that is encoded as other bytes than its own. The client's extension in C takes no such thing."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return UNREADABLE_NAME


def send_with_unreadable_header(servers: str, topic: str, *values: bytes) -> None:
    """Write one message per value; the broker has them afterwards."""
    asyncio.run(_send(servers, topic, values))


async def _send(servers: str, topic: str, values: tuple[bytes, ...]) -> None:
    headers: Any = [(_UnreadableName("name"), b"value")]
    with (
        patch.object(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy),
        patch.object(producer, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy),
    ):
        async with AIOKafkaProducer(bootstrap_servers=servers) as client:
            for value in values:
                await client.send_and_wait(topic, value, headers=headers)
