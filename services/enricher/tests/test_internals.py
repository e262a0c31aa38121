"""The private parts of Faust and aiokafka that the enricher uses were checked with the installed versions."""

import asyncio
import gzip
import struct
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition as ClientTopicPartition
from cardwatch_enricher.internals import WRITTEN_FOR, FetchedRecords
from cardwatch_kafka.messages import TopicPartition
from confluent_kafka import Producer
from support.unreadable_headers import send_with_unreadable_header


@pytest.mark.parametrize(("package", "written_for"), sorted(WRITTEN_FOR.items()))
def test_private_parts_were_checked_against_the_pinned_version(package: str, written_for: str) -> None:
    assert version(package) == written_for, (
        f"{package} is {version(package)}, and cardwatch_enricher/internals.py uses private parts of {written_for}: "
        "compare each of them with the new version, run tests/integration/test_enricher.py, then change WRITTEN_FOR"
    )


def test_partitions_are_equal_to_those_of_the_client() -> None:
    assert ClientTopicPartition("t", 1) == TopicPartition("t", 1)


_LENGTH, _CRC, _ATTRIBUTES, _HEADER_BYTES = slice(8, 12), slice(17, 21), slice(21, 23), 61
_NAME, _NOT_UTF_8 = b"name", b"n\xff\xfee"


def record_batch(first_offset: int, compression: int) -> bytes:
    """A batch of three records as a broker sends it; the second one's header has a name that is not UTF-8."""
    builder: Any = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=10**6,
    )  # fmt: skip
    for number, headers in enumerate(([("a", b"1")], [(_NAME.decode(), b"\xff"), ("b", None)], [])):
        builder.append(number, timestamp=5, key=None, value=b"value %d" % number, headers=headers)
    data = bytearray(builder.build()).replace(_NAME, _NOT_UTF_8)
    if compression:
        data = data[:_HEADER_BYTES] + gzip.compress(data[_HEADER_BYTES:])
        data[_ATTRIBUTES] = struct.pack(">h", compression)
        data[_LENGTH] = struct.pack(">i", len(data) - _LENGTH.stop)
    data[:8] = struct.pack(">q", first_offset)
    data[_CRC] = struct.pack(">I", calc_crc32c(bytes(data[_CRC.stop :])))
    return bytes(data)


def read_records(records: Any) -> list[Any]:
    found = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        assert (batch.producer_id, batch.is_control_batch) == (-1, False)
        found += list(batch)
    return found


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
def test_the_name_of_a_header_need_not_be_utf_8(compression: int) -> None:
    fetched = b"".join(record_batch(offset, compression) for offset in (0, 3, 6))[:-1]
    with pytest.raises(UnicodeDecodeError):
        read_records(MemoryRecords(fetched))
    found = read_records(FetchedRecords(fetched))
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
    assert [record.value for record in found[:3]] == [b"value 0", b"value 1", b"value 2"]
    assert [tuple(record.headers) for record in found[:3]] == [
        (("a", b"1"),),
        (("n\\xff\\xfee", b"\xff"), ("b", None)),
        (),
    ]
    assert {(record.timestamp, record.key, record.checksum) for record in found} == {(5, None, None)}


def test_a_fetch_that_returns_nothing_is_empty_as_in_the_client() -> None:
    for fetched in (b"", record_batch(0, 0)[:-1], record_batch(0, 0)):
        ours, theirs = FetchedRecords(fetched), MemoryRecords(fetched)
        assert (ours.size_in_bytes(), ours.has_next()) == (theirs.size_in_bytes(), theirs.has_next())


def test_what_the_client_may_ask_of_fetched_records_is_there() -> None:
    public = {name for name in dir(MemoryRecords) if not name.startswith("_")}
    assert public <= set(dir(FetchedRecords))


TOPIC, MESSAGES = "hostile", 100


async def read_all(servers: str, partitions: int) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    consumer.assign([ClientTopicPartition(TOPIC, partition) for partition in range(partitions)])
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < MESSAGES + 2:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
    finally:
        await consumer.stop()
    return found


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_the_client_reads_on_behind_such_a_header(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the broker that librdkafka has inside: its mock cluster."""
    settings = {"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 2}
    producer = Producer({**settings, "compression.type": compression})
    metadata = producer.list_topics(TOPIC, timeout=10)
    (broker,) = metadata.brokers.values()
    servers = f"{broker.host}:{broker.port}"
    send_with_unreadable_header(servers, TOPIC, b"first", b"second")
    for number in range(MESSAGES):
        producer.produce(TOPIC, b"%d" % number, headers=[("a", b"1")])
    assert producer.flush(10) == 0
    monkeypatch.setattr(fetcher, "MemoryRecords", FetchedRecords)
    found = asyncio.run(read_all(servers, len(metadata.topics[TOPIC].partitions)))
    assert {record.value for record in found} == {b"first", b"second", *(b"%d" % n for n in range(MESSAGES))}
    assert {record.headers for record in found} == {(("a", b"1"),), (("n\\xff\\xfee", b"value"),)}
